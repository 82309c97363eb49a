"""Against real Caffe: net building, shapes of whole networks, shapes and refusals of single layers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from demitasse.errors import NetError
from demitasse.layers import LAYERS, Graph, Shapes, build, infer
from demitasse.net import Net
from layers.reference import SHARED, cases, network

# What Caffe refuses for reasons that are not about shapes: code that its CPU lacks, and a fork whose SmoothL1Loss
# takes fewer inputs than Fast R-CNN's.
ACCEPTED = ("Not Implemented Yet", "SmoothL1Loss Layer takes 2 bottom blob(s)")

# Multiply–accumulates for one picture, as published with the networks or counted by others.
PUBLISHED = {
    "alexnet_deploy": 724e6,
    "googlenet_deploy": 1.58e9,
    "mobilenet_v1_deploy": 569e6,
    "resnet50_deploy": 3.86e9,
    "vgg16_v1_deploy": 15.5e9,
    "vgg19_v1_deploy": 19.6e9,
}


def same_structure(case: dict[str, Any], graph: Graph, shapes: Shapes) -> None:
    """Every layer, blob, weight and output as Caffe has them. Its Python interface looks inputs and outputs up by the
    layer's name: of several with one name it may tell the last one's for each."""
    last = {layer.name: layer for layer in graph.layers}
    expected = [(x["name"], x["type"], x["bottoms"], x["tops"]) for x in case["layers"]]
    assert [(x.name, x.type) for x in graph.layers] == [x[:2] for x in expected]
    for found, wanted in zip(graph.layers, expected, strict=True):
        either = [(list(x.inputs), list(x.outputs)) for x in (found, last[found.name])]
        assert (wanted[2], wanted[3]) in either
    assert [listed(weights or ()) for weights in shapes.parameters] == [x["params"] for x in case["layers"]]
    assert [[name, list(shape or ())] for name, shape in shapes.blobs.items()] == case["blobs"]
    assert list(graph.inputs) == case["inputs"]
    assert list(graph.outputs) == case["outputs"]
    if "loss_weights" in case:
        assert graph.loss_weights == case["loss_weights"]


def listed(shapes: tuple[tuple[int, ...], ...]) -> list[list[int]]:
    """Tuples as JSON has them."""
    return [list(shape) for shape in shapes]


@pytest.mark.zoo
@pytest.mark.parametrize("case", cases("structure/structure.json"))
def test_nets_are_built_as_caffe_builds_them(case: dict[str, Any]) -> None:
    def built() -> tuple[Graph, Shapes]:
        graph = build(network(case["prototxt"]), case["phase"], case["level"], case["stages"], splits=True)
        return graph, infer(graph)

    if not case.get("rejected"):
        same_structure(case, *built())
    elif case["message"].startswith("Check failed: registry.count"):
        graph, _ = built()
        assert any("is not known" in note.text for note in graph.net.report)
    else:
        with pytest.raises(NetError, match="layer"):
            built()


def with_data_as_inputs(net: Net, case: dict[str, Any], phase: str) -> tuple[Net, dict[str, list[int]]]:
    """The network with Input layers for data layers, as the reference was made, and the shapes of this phase."""
    wanted = list(case["data_layers_replaced_by_input"])
    shapes: dict[str, list[int]] = {}
    used = {id(layer.message) for layer in build(net, phase).layers}
    layers = []
    for layer in net.layers:
        found = next((x for x in wanted if x[0] == layer.name and tuple(x[1]) == layer.outputs), None)
        if found is not None:
            wanted.remove(found)
            if id(layer.message) in used:
                shapes.update(zip(found[1], found[2], strict=True))
            layer = replace(layer, type="Input")
        layers.append(layer)
    return net.with_layers(layers), shapes


@pytest.mark.zoo
@pytest.mark.parametrize("case", cases("nets/shapes/*.json.gz") + cases("nets/shapes_train/*.json.gz"))
def test_whole_networks_have_the_shapes_that_caffe_gives_them(case: dict[str, Any], zoo: Path) -> None:
    net, inputs, phase = network((zoo / case["file"]).read_bytes()), {}, case.get("phase", "TEST")
    if "data_layers_replaced_by_input" in case:
        net, inputs = with_data_as_inputs(net, case, phase)
    graph = build(net, phase, splits=True)
    shapes = infer(graph, inputs)
    same_structure(case, graph, shapes)
    assert shapes.parameter_count == case["param_count"]
    assert shapes.activations == case.get("activation_count", shapes.activations)


@pytest.mark.zoo
@pytest.mark.parametrize("case", [x for x in cases("layers/*.json") if not x.values[0].get("rejected")])
def test_layers_have_the_shapes_that_caffe_gives_them(case: dict[str, Any]) -> None:
    graph = build(network(case["prototxt"]), case["phase"], splits=True)
    shapes = infer(graph)
    assert [layer.name for layer in graph.layers] == [name for name, _ in case["layers"]]
    assert list(shapes.blobs) == case["blobs"]
    place = next(i for i, layer in enumerate(graph.layers) if layer.name == "L")
    weights = {int(key[6:]): shape for key, shape in case["arrays"].items() if key.startswith("param/")}
    assert listed(shapes.parameters[place] or ()) == [weights[k] for k in sorted(weights)]
    # Rows that only running tells are not compared.
    start = 1 if LAYERS[graph.layers[place].type].depends_on_values else 0
    for key, shape in case["arrays"].items():
        if key.startswith("out/"):
            found = shapes.blobs[key[4:]]
            assert found is not None
            assert len(found) == len(shape)
            assert sum(a != b for a, b in zip(found, shape, strict=True)) <= start


@pytest.mark.zoo
@pytest.mark.parametrize("case", [x for x in cases("layers/*.json") if x.values[0].get("rejected")])
def test_what_caffe_refuses_is_refused(case: dict[str, Any]) -> None:
    if any(reason in case["message"] for reason in ACCEPTED):
        assert infer(build(network(case["prototxt"]), case["phase"], splits=True)).blobs
        return
    with pytest.raises(NetError, match=r'^layer "L"'):
        infer(build(network(case["prototxt"]), case["phase"], splits=True))


@pytest.mark.zoo
@pytest.mark.parametrize("name", PUBLISHED)
def test_work_is_what_others_count(name: str, zoo: Path) -> None:
    graph = build(network((zoo / "prototxt" / f"{name}.prototxt").read_bytes()))
    shapes = infer(graph)
    (data,) = graph.inputs
    batch = (shapes.blobs[data] or (0,))[0]
    assert shapes.total_macs is not None
    assert shapes.total_macs / batch == pytest.approx(PUBLISHED[name], rel=0.005)


PROTOTXTS = [pytest.param(file, id=file.name) for file in sorted((SHARED / "zoo").glob("prototxt/*.prototxt"))]


@pytest.mark.zoo
@pytest.mark.parametrize("file", PROTOTXTS)
def test_every_type_of_the_collection_is_in_the_table(file: Path) -> None:
    assert {layer.type for layer in network(file.read_bytes()).layers} <= set(LAYERS)
