from dataclasses import replace

import numpy as np
import pytest

from demitasse import files
from demitasse.message import Message, Word
from demitasse.net import Dense, Layer, Net
from demitasse.report.inspection_text import COLUMNS, closing, headline, table_rows
from demitasse.report.look import inspect_net
from demitasse.transforms.shrink import Shrink
from networks import small_classifier


def inspected(tmp_path, change=lambda layer: layer):
    paths = (tmp_path / "deploy.prototxt", tmp_path / "x.caffemodel")
    small_classifier(*paths)
    net = files.load(*paths)
    net = net.with_layers(change(layer) for layer in net.layers)
    return inspect_net(net, file_bytes=paths[1].stat().st_size)


def row(found, name):
    return next(row for row in found.layers if row.name == name)


def test_every_layer_is_described(tmp_path):
    found = inspected(tmp_path)
    conv = row(found, "conv1")
    assert (conv.type, conv.output, conv.shapes) == ("Convolution", (1, 16, 22, 22), ((16, 3, 3, 3), (16,)))
    assert (conv.parameters, conv.macs, conv.bytes) == (16 * 28, 22 * 22 * 16 * 27, 4 * 16 * 28)
    assert [layer.name for layer in found.layers if not layer.parameters] == ["input", "relu1", "pool1", "prob"]
    assert found.parameters == 16 * 28 + 10 * 1936 + 10
    assert found.macs == conv.macs + 10 * 1936
    # conv1 (in place with its ReLU) and pool1 are the two largest that are alive together.
    assert found.peak_activations == 4 * (16 * 22 * 22 + 16 * 11 * 11)
    assert found.peak_memory == found.peak_activations + 4 * found.parameters


def test_zero_channels_are_found(tmp_path):
    conv = row(inspected(tmp_path), "conv1")
    assert (conv.outputs, conv.dead_outputs, conv.constant_outputs, conv.zeros) == (16, 1, 0, 28)
    assert conv.removable == 2 * 28 * 4  # row 3, which is zero, and row 5, which fc does not read


def test_a_bias_makes_a_dead_channel_a_constant(tmp_path):
    def biased(layer: Layer) -> Layer:
        if layer.name != "conv1":
            return layer
        return layer.with_tensors([layer.tensors[0], Dense(np.ones(16, np.float32))])

    conv = row(inspected(tmp_path, biased), "conv1")
    assert (conv.dead_outputs, conv.constant_outputs) == (1, 1)
    assert conv.removable == 2 * 28 * 4  # the constant can move into the biases of fc


@pytest.mark.parametrize(
    ("type", "param", "shape", "zero", "outputs", "dead", "inputs", "unread"),
    [
        ("InnerProduct", {}, (4, 6), np.s_[:, 2], 4, 0, 6, 1),
        ("InnerProduct", {}, (4, 6), np.s_[1], 4, 1, 6, 0),
        ("Convolution", {"group": 2}, (4, 3, 2, 2), np.s_[:2, 1], 4, 0, 6, 1),
        ("Deconvolution", {}, (5, 4, 2, 2), np.s_[:, 1], 4, 1, 5, 0),
        ("Deconvolution", {}, (5, 4, 2, 2), np.s_[3], 4, 0, 5, 1),
    ],
)
def test_inputs_and_outputs_by_type(type, param, shape, zero, outputs, dead, inputs, unread):
    weights = np.ones(shape, np.float32)
    weights[zero] = 0
    message = Message.of(("convolution_param", Message.of(*param.items())))
    layer = Layer("l", type, ("x",), ("y",), message, (Dense(weights),))
    (found,) = inspect_net(Net("n", (layer,)), file_bytes=0).layers
    assert (found.outputs, found.dead_outputs, found.inputs, found.unread_inputs) == (outputs, dead, inputs, unread)


def test_what_could_leave_is_what_shrinking_removes(tmp_path):
    found = inspected(tmp_path)
    net = files.load(tmp_path / "deploy.prototxt", tmp_path / "x.caffemodel")
    small = Shrink()(net)
    assert found.removable == 4 * (net.parameters - small.parameters)


def test_layers_with_the_same_weights_are_named(tmp_path):
    weights = (Dense(np.arange(12, dtype=np.float32).reshape(3, 4)),)
    layers = [Layer(name, "InnerProduct", ("x",), (name,), tensors=weights) for name in "ab"]
    other = replace(layers[0], name="c", outputs=("c",), tensors=(Dense(weights[0].values + 1),))
    found = inspect_net(Net("n", (*layers, other)), file_bytes=0)
    assert [row.same_as for row in found.layers] == ["", "a", ""]


def test_what_cannot_be_known_is_no_error():
    layer = Layer("odd", "NobodyKnows", ("x",), ("y",), tensors=(Dense(np.ones((2, 2), np.float32)),))
    found = inspect_net(Net("n", (layer,)), file_bytes=16)
    assert (found.macs, found.peak_memory, found.layers[0].output) == (None, None, None)
    assert found.notes
    assert "MACs unknown" in headline(found, "x")


def unsized(*tensors):
    batch = Message.of(("data_param", Message.of(("batch_size", 2))))
    filters = Message.of(("convolution_param", Message.of(("num_output", 8), ("kernel_size", 3))))
    layers = (
        Layer("d", "Data", (), ("d",), batch),
        Layer("c", "Convolution", ("d",), ("c",), filters, tensors),
        Layer("r", "ReLU", ("c",), ("r",)),
    )
    return inspect_net(Net("n", layers), file_bytes=9)


def test_parameters_that_depend_on_unknown_data_are_not_passed_over():
    found = unsized()
    assert (found.parameters, found.complete) == (8, False)  # the biases
    assert "8 parameters or more" in headline(found, "x")
    assert any("d (Data) does not say" in note for note in found.notes)
    assert [cells[0] for cells in table_rows(found)] == ["c"]
    assert not any("zeros" in cell for cells in table_rows(found) for cell in cells)


def test_a_network_whose_shapes_make_no_sense_has_no_number_of_parameters():
    filters = Message.of(("convolution_param", Message.of(("num_output", 8))))  # no kernel_size
    layers = (Layer("i", "Input", (), ("d",)), Layer("c", "Convolution", ("d",), ("c",), filters))
    assert "parameters unknown" in headline(inspect_net(Net("n", layers), file_bytes=9), "x")


def test_with_weights_all_parameters_are_known():
    found = unsized(Dense(np.ones((8, 3, 3, 3), np.float32)), Dense(np.ones(8, np.float32)))
    assert (found.parameters, found.complete) == (224, True)
    assert "224 parameters ·" in headline(found, "x")


def test_no_layer_is_called_hidden_where_all_are_shown():
    found = unsized()
    assert closing(found, ["x"], stored=False) == ["not shown without --all: 2 layers without weights"]
    assert closing(found, ["x"], stored=False, every=True) == []


def test_the_text_says_what_could_leave(tmp_path):
    def pruned(layer: Layer) -> Layer:
        if layer.name != "fc":
            return layer
        weights = np.array(layer.tensors[0].array())
        weights[np.random.default_rng(0).random(weights.shape) < 0.5] = 0
        return layer.with_tensors([Dense(weights), *layer.tensors[1:]])

    found = inspected(tmp_path, pruned)
    assert all(len(cells) == len(COLUMNS) for cells in table_rows(found))
    assert [cells[0] for cells in table_rows(found)] == ["conv1", "fc"]
    assert len(table_rows(found, every=True)) == 6
    text = "\n".join(closing(found, ["deploy.prototxt", "my x.caffemodel"], stored=False))
    assert "scattered zeros" in text
    assert "could leave for good" in text
    assert "demitasse compress deploy.prototxt 'my x.caffemodel' -o 'my x.demi'" in text


@pytest.mark.zoo
def test_every_real_model_can_be_inspected(zoo):
    for folder in sorted((zoo / "models").iterdir()):
        model = folder / f"{folder.name}.caffemodel"
        net = files.load(folder / "deploy.prototxt", model)
        found = inspect_net(net, file_bytes=model.stat().st_size)
        assert found.parameters == net.parameters, folder.name
        assert found.macs, folder.name
        zeros = sum(t.size - np.count_nonzero(t.array()) for layer in net.layers for t in layer.tensors)
        assert found.zeros == zeros, folder.name


def test_a_network_for_training_only_is_shown_as_it_trains():
    train = Message.of(("include", Message.of(("phase", Word("TRAIN")))), ("data_param", Message.of(("batch_size", 2))))
    layers = (Layer("data", "Data", (), ("data",), train), Layer("r", "ReLU", ("data",), ("r",)))
    found = inspect_net(Net("n", layers), file_bytes=0)
    assert "training only" in found.notes[0]
    assert [row.name for row in found.layers] == ["data", "r"]
