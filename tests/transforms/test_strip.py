import re
from pathlib import Path

import numpy as np
import pytest

from demitasse import files
from demitasse.caffe.read import parse_net
from demitasse.caffe.write import prototxt
from demitasse.errors import DemitasseError, NetError, OptionError, WeightsError
from demitasse.layers import build, infer
from demitasse.net import Dense, Net, Note
from demitasse.transforms.strip import Strip
from filled_networks import conv, data, filled, layer, reasons, relative, types

DATA = """layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  transform_param { crop_size: 20 mean_value: 10 mean_value: 20 mean_value: 30 scale: 0.5 }
  data_param { batch_size: 8 } }
layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TEST }
  transform_param { crop_size: 20 mean_value: 10 mean_value: 20 mean_value: 30 scale: 0.5 }
  data_param { batch_size: 4 } }
"""
LOSS = 'layer {{ name: "{0}" type: "SoftmaxWithLoss" bottom: "{1}" bottom: "label" top: "{0}" {2} }}\n'
ACCURACY = """layer { name: "accuracy" type: "Accuracy" bottom: "fc" bottom: "label" top: "accuracy"
  include { phase: TEST } }
"""
DROP = 'layer { name: "drop" type: "Dropout" bottom: "x" top: "x" dropout_param { dropout_ratio: 0.4 } }\n'


def fc(name: str, bottom: str) -> str:
    return layer("InnerProduct", name, bottom, "inner_product_param { num_output: 5 }")


TRAINED = DATA + conv("x", "data") + DROP + fc("fc", "x") + ACCURACY + LOSS.format("loss", "fc", "")


def ends(net):
    return build(net).outputs


def test_a_training_network_becomes_a_deployed_one():
    net = Strip()(parse_net(TRAINED.encode()))
    assert types(net) == ["Input", "Convolution", "InnerProduct", "Softmax"]
    assert ends(net) == ("prob",)
    assert infer(build(net)).blobs["data"] == (1, 3, 20, 20)
    for word in ("phase", "Data", "label", "loss", "drop"):
        assert word not in prototxt(net).decode()
    assert net.metadata["preprocessing"] == {"mean": [10.0, 20.0, 30.0], "scale": 0.5}


def test_running_it_again_changes_nothing():
    once = Strip()(parse_net(TRAINED.encode()))
    twice = Strip()(once)
    assert twice.layers == once.layers
    assert "nothing to do" in twice.report[-1].text


def test_a_deployed_network_keeps_its_bytes():
    text = ("# head\n" + data(1, 3, 8, 8) + conv("x", "data")).encode()
    assert prototxt(Strip()(parse_net(text))) == text


def test_prices_and_kept_zeros_of_a_fork_are_no_matter_of_use():
    param = "param { lr_mult: 1 breadth_decay_mult: 1 block_group_lasso { xdimen: 3 } } connectivity_mode: 2"
    net = filled(TRAINED.replace('bottom: "data" top: "x"', f'bottom: "data" top: "x" {param}'))
    text = prototxt(Strip()(net)).decode()
    assert "breadth" not in text
    assert "connectivity" not in text


def test_an_auxiliary_head_leaves_with_its_weights():
    text = DATA + conv("x", "data") + fc("aux", "x") + LOSS.format("loss1", "aux", "loss_weight: 0.3")
    text += conv("y", "x") + fc("fc", "y") + LOSS.format("loss2", "fc", "") + ACCURACY
    net = Strip()(parse_net(text.encode()))
    assert "aux" not in [one.name for one in net.layers]
    assert ends(net) == ("prob",)


def test_tasks_with_labels_of_their_own_are_no_auxiliary_heads():
    text = DATA + conv("x", "data") + fc("fc", "x") + fc("box", "x")
    text += 'layer { name: "boxes" type: "HDF5Data" top: "roi_target" }\n'
    text += LOSS.format("loss", "fc", "")
    text += 'layer { name: "l2" type: "EuclideanLoss" bottom: "box" bottom: "roi_target" top: "l2" loss_weight: 0.5 }\n'
    assert ends(Strip()(parse_net(text.encode()))) == ("box", "prob")


def test_two_losses_of_one_prediction_do_not_make_it_auxiliary():
    text = DATA + conv("x", "data") + fc("fc", "x")
    text += LOSS.format("a", "fc", "loss_weight: 0") + LOSS.format("b", "fc", "")
    assert ends(Strip()(parse_net(text.encode()))) == ("prob",)


@pytest.mark.parametrize(
    ("loss", "last"),
    [("SoftmaxWithLoss", "Softmax"), ("SigmoidCrossEntropyLoss", "Sigmoid"), ("HingeLoss", "InnerProduct")],
)
def test_what_a_loss_does_first_stays(loss, last):
    text = TRAINED.replace("SoftmaxWithLoss", loss)
    assert types(Strip()(parse_net(text.encode())))[-1] == last


def test_an_existing_softmax_is_enough():
    text = TRAINED + layer("Softmax", "scores", "fc")
    net = Strip()(parse_net(text.encode()))
    assert ends(net) == ("scores",)


def test_softmax_keeps_its_axis():
    text = TRAINED.replace('top: "loss"', 'top: "loss" softmax_param { axis: 0 }')
    assert Strip()(parse_net(text.encode())).layers[-1].message.message("softmax_param").integer("axis") == 0


def test_what_depends_on_labels_leaves():
    """SphereFace: the last layer reads the label, and the features before it are what is used."""
    margin = """layer { name: "m" type: "MarginInnerProduct" bottom: "fc" bottom: "label" top: "m"
      margin_inner_product_param { num_output: 9 } }\n"""
    text = DATA + conv("x", "data") + fc("fc", "x") + margin + LOSS.format("loss", "m", "")
    assert ends(Strip()(parse_net(text.encode()))) == ("fc",)


def test_a_target_that_nothing_was_learned_for_is_no_output():
    """An autoencoder is judged by its own input."""
    text = DATA + layer("Flatten", "flat", "data") + fc("code", "data") + fc("fc", "code")
    text += 'layer { name: "l2" type: "EuclideanLoss" bottom: "fc" bottom: "flat" top: "l2" }\n'
    assert ends(Strip()(parse_net(text.encode()))) == ("fc",)


def test_the_shape_of_an_input_may_have_to_be_stated():
    text = TRAINED.replace("crop_size: 20 ", "")
    with pytest.raises(OptionError, match=r"--input data=1x3xNxN"):
        Strip()(parse_net(text.encode()))
    net = Strip({"data": (1, 3, 9, 9)})(parse_net(text.encode()))
    assert infer(build(net)).blobs["data"] == (1, 3, 9, 9)
    with pytest.raises(OptionError, match='"label" is no input'):
        Strip({"data": (1, 3, 9, 9), "label": (1,)})(parse_net(text.encode()))


def test_channels_come_from_the_weights():
    text = TRAINED.replace("mean_value: 10 mean_value: 20 mean_value: 30 ", "")
    with pytest.raises(OptionError, match=r"data=1xNx20x20"):
        Strip()(parse_net(text.encode()))
    net = parse_net(text.encode())
    weights = [Dense(np.zeros((6, 3, 3, 3), np.float32)), Dense(np.zeros(6, np.float32))]
    net = net.with_layers(one.with_tensors(weights) if one.name == "x" else one for one in net.layers)
    assert infer(build(Strip()(net))).blobs["data"] == (1, 3, 20, 20)


def test_a_stated_shape_that_does_not_fit_the_weights_is_refused():
    net = filled(TRAINED)
    with pytest.raises(WeightsError, match='"x"'):
        Strip({"data": (1, 4, 20, 20)})(net)


def test_until_names_the_end():
    net = Strip(until=("x",))(parse_net(TRAINED.encode()))
    assert ends(net) == ("x",)
    with pytest.raises(OptionError, match='no layer gives "nothing"'):
        Strip(until=("nothing",))(parse_net(TRAINED.encode()))


def test_a_network_of_labels_alone_is_refused():
    with pytest.raises(OptionError, match="nothing would be left"):
        Strip()(parse_net((DATA + LOSS.format("l", "data", "")).encode()))


def test_dropout_that_works_in_use_stays():
    text = TRAINED.replace("dropout_ratio: 0.4", "dropout_ratio: 0.4 scale_train: false")
    net = Strip()(parse_net(text.encode()))
    assert "Dropout" in types(net)
    assert "scale_train" in reasons(net, "strip")["drop"]


def test_dropout_that_is_not_in_place_leaves_too():
    text = data(1, 3, 8, 8) + conv("x", "data") + layer("Dropout", "d", "x") + layer("ReLU", "r", "d")
    net = Strip()(parse_net(text.encode()))
    assert types(net) == ["Input", "Convolution", "ReLU"]
    assert net.layers[2].inputs == ("x",)
    last = Strip()(parse_net(text.replace(layer("ReLU", "r", "d"), "").encode()))
    assert ends(last) == ("d",)
    assert types(last) == ["Input", "Convolution"]


def test_dropout_on_a_value_that_is_changed_later_reads_the_right_one():
    """Without renaming, the second convolution would read what the ReLU makes of x."""
    pytest.importorskip("torch")
    from filled_networks import error

    text = data(1, 3, 8, 8) + conv("x", "data") + layer("Dropout", "d", "x") + layer("ReLU", "r", "x", top="x")
    net = filled(text + conv("y", "d") + conv("z", "x"))
    stripped = Strip()(net)
    assert "Dropout" not in types(stripped)
    assert error(net, stripped) == 0


def test_masks_are_multiplied_in():
    text = TRAINED.replace('type: "Convolution"', 'type: "CConvolution"')
    net = filled(text)
    masked = next(one for one in net.layers if one.name == "x")
    assert len(masked.tensors) == 3
    stripped = Strip()(net)
    plain = stripped.layers[1]
    assert (plain.type, len(plain.tensors)) == ("Convolution", 2)
    expected = masked.tensors[0].array() * masked.tensors[2].array()
    assert np.array_equal(plain.tensors[0].array(), expected)


def test_weights_that_no_layer_has_are_told():
    net = filled(data(1, 3, 8, 8) + conv("x", "data"))
    spare = Note("read", "old", "5 numbers", {"unused": 5, "bytes": 40})
    assert any("40 bytes" in note.text for note in Strip()(net.noting(spare)).report)


def test_the_reference_computes_the_same():
    pytest.importorskip("torch")
    from demitasse.runtime import run

    net = filled(TRAINED)
    stripped, reference = Strip()(net), Strip().reference(net)
    picture = {"data": np.random.default_rng(0).standard_normal((1, 3, 20, 20)).astype(np.float32)}
    assert "Dropout" in types(reference)
    assert relative(run(reference, picture)["fc"], run(stripped, picture, ["fc"])["fc"]) == 0


def test_training_examples_are_passed_on():
    """Faster R-CNN: in use, the regions go where a layer picked some to train on."""
    text = data(1, 3, 40, 40) + data(4, 5, name="rpn_rois") + 'layer { name: "g" type: "HDF5Data" top: "gt_boxes" }\n'
    text += conv("x", "data")
    text += """layer { name: "pick" type: "Python" bottom: "rpn_rois" bottom: "gt_boxes" top: "rois" top: "labels"
      python_param { module: "rpn.proposal_target_layer" layer: "ProposalTargetLayer" } }\n"""
    text += layer("ROIPooling", "pool", "x rois", "roi_pooling_param { pooled_w: 2 pooled_h: 2 spatial_scale: 1 }")
    text += fc("fc", "pool")
    text += 'layer { name: "l" type: "SoftmaxWithLoss" bottom: "fc" bottom: "labels" top: "l" }\n'
    net = Strip()(parse_net(text.encode()))
    assert ends(net) == ("prob",)
    assert next(one for one in net.layers if one.name == "pool").inputs == ("x", "rpn_rois")


STATED = {
    "data": (1, 3, 224, 224),
    "clip_markers": (16, 3),
    "pair_data": (1, 2, 28, 28),
}
"""Shapes for networks whose data layers do not say them; see below for those of one channel."""


def stated_for(name: str) -> dict[str, tuple[int, ...]]:
    shapes = dict(STATED)
    if "lrcn" in name:
        shapes["data"] = (48, 3, 227, 227)
    if any(word in name for word in ("lenet", "mnist", "vdsr", "fsrcnn")):
        shapes["data"] = (1, 1, 28, 28)
    if "hdf5" in name:
        shapes["data"] = (1, 4)
    return shapes


def stripped_of_all(net: Net, shapes: dict[str, tuple[int, ...]]) -> Net:
    """Stripped, with the shapes stated that are asked for."""
    stated: dict[str, tuple[int, ...]] = {}
    while True:
        try:
            return Strip(stated)(net)
        except OptionError as error:
            asked = re.search(r'shape of "(.*)": give --input', str(error))
            if asked is None or asked[1] in stated:
                raise
            stated[asked[1]] = shapes[asked[1]]


@pytest.mark.zoo
def test_every_training_network_of_the_zoo(zoo: Path):
    """Each becomes a network whose shapes fit, that reads no labels, and that nothing more can be stripped of."""
    tried = 0
    for path in sorted((zoo / "prototxt").glob("*.prototxt")):
        try:
            net = files.load(path)
        except DemitasseError:
            continue
        stripped = stripped_of_all(net, stated_for(path.name))
        graph = build(stripped)
        infer(graph)
        tried += 1
        assert not any(word in name for name in graph.inputs for word in ("label", "gt_")), path.name
        assert not any("Loss" in one.type or "Accuracy" in one.type for one in graph.layers), path.name
        if len(stripped.layers) < 100:
            assert Strip()(stripped).layers == stripped.layers, path.name
    assert tried > 90


@pytest.mark.zoo
def test_googlenet_loses_its_auxiliary_heads(zoo: Path):
    """53 MB become 28."""
    net = files.load(zoo / "prototxt" / "golden_v2_googlenet_train_val.prototxt")
    stripped = Strip()(net)
    before, after = (infer(build(one, phase), strict=False) for one, phase in ((net, "TRAIN"), (stripped, "TEST")))
    weights = [sum(np.prod(shape) for own in found.parameters for shape in own or ()) for found in (before, after)]
    assert [round(4 * number / 1e6) for number in weights] == [54, 28]


def test_layers_that_do_not_hang_together_are_refused():
    with pytest.raises(NetError, match='reads "y"'):
        Strip()(parse_net((DATA + conv("x", "y")).encode()))


SSD = (
    """layer { name: "d" type: "AnnotatedData" top: "data" top: "label" transform_param { crop_size: 24
  mean_value: 1 mean_value: 2 mean_value: 3 } }
"""
    + conv("x", "data", "num_output: 8 kernel_size: 3 pad: 1 stride: 4")
    + "".join(
        conv(name, "x", f"num_output: {channels} kernel_size: 3 pad: 1")
        + layer("Permute", f"{name}_perm", name, "permute_param { order: 0 order: 2 order: 3 order: 1 }")
        + layer("Flatten", f"{name}_flat", f"{name}_perm", "flatten_param { axis: 1 }")
        for name, channels in (("loc", 8), ("conf", 6))
    )
    + layer("PriorBox", "prior", "x data", "prior_box_param { min_size: 8 max_size: 12 clip: false }")
    + layer(
        "MultiBoxLoss",
        "loss",
        "loc_flat conf_flat prior label",
        "multibox_loss_param { num_classes: 3 share_location: true background_label_id: 0 code_type: CENTER_SIZE %s }",
    )
)


@pytest.mark.parametrize(
    ("loss", "between"),
    [
        ("", ["Reshape", "Softmax", "Flatten"]),
        ("conf_loss_type: LOGISTIC encode_variance_in_target: true", ["Sigmoid"]),
    ],
)
def test_where_boxes_were_judged_boxes_are_found(loss, between):
    net = Strip()(filled(SSD.replace("%s", loss)))
    assert types(net)[-len(between) - 1 :] == [*between, "DetectionOutput"]
    assert ends(net) == ("detection_out",)
    found = net.layers[-1].message.message("detection_output_param")
    assert (found.integer("num_classes"), found.string("code_type")) == (3, "CENTER_SIZE")
    assert found.flag("variance_encoded_in_target") == ("variance" in loss)
    assert "no training network says" in "".join(note.text for note in net.report)
    again = Strip()(net)
    assert all(a is b for a, b in zip(net.layers, again.layers, strict=True))


def test_boxes_that_a_test_phase_finds_already_are_enough():
    phases = SSD.replace('type: "MultiBoxLoss"', 'type: "MultiBoxLoss" include { phase: TRAIN }').replace("%s", "")
    detection = layer(
        "DetectionOutput",
        "found",
        "loc_flat scores prior",
        "include { phase: TEST } detection_output_param { num_classes: 3 nms_param { nms_threshold: 0.3 } }",
    )
    scores = layer("Sigmoid", "scores", "conf_flat", "include { phase: TEST }")
    evaluate = "include { phase: TEST } detection_evaluate_param { num_classes: 3 background_label_id: 0 }"
    net = filled(phases + scores + detection + layer("DetectionEvaluate", "eval", "found label", evaluate))
    assert ends(Strip()(net)) == ("found",)


@pytest.mark.parametrize(
    "declared", [data(1, 3, 20, 20), 'input: "data" input_dim: 1 input_dim: 3 input_dim: 20 input_dim: 20\n']
)
def test_a_stated_shape_takes_the_place_of_a_declared_one(declared):
    net = Strip({"data": (2, 3, 24, 16)})(filled(declared + conv("x", "data")))
    assert infer(build(net)).blobs["data"] == (2, 3, 24, 16)
    assert b"24" in prototxt(net)
    with pytest.raises(WeightsError):
        Strip({"data": (1, 4, 20, 20)})(filled(declared + conv("x", "data")))
