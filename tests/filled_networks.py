"""Networks from text with random weights, run by the executor: for transforms of which something is to be said."""

from __future__ import annotations

import numpy as np

from demitasse.caffe.read import parse_net
from demitasse.layers import build, infer
from demitasse.net import Dense, Layer, Net
from demitasse.runtime import run


def data(*dims: int, name: str = "data") -> str:
    """An Input layer."""
    sizes = " ".join(f"dim: {size}" for size in dims)
    return f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ {sizes} }} }} }}\n'


def layer(kind: str, name: str, bottom: str, rest: str = "", top: str | None = None) -> str:
    """One layer with one output; ``bottom`` may be several names."""
    bottoms = " ".join(f'bottom: "{one}"' for one in bottom.split())
    return f'layer {{ name: "{name}" type: "{kind}" {bottoms} top: "{top or name}" {rest} }}\n'


def conv(name: str, bottom: str, options: str = "num_output: 6 kernel_size: 3", top: str | None = None) -> str:
    """A convolution."""
    return layer("Convolution", name, bottom, f"convolution_param {{ {options} }}", top)


def filled(text: str, seed: int = 0) -> Net:
    """The network with random weights of the usual size; variances are positive, statistics have a factor of two."""
    net = parse_net(text.encode())
    graph = build(net)
    rng = np.random.default_rng(seed)
    shapes = infer(graph)
    made: dict[int, tuple[Dense, ...]] = {}
    for i, (one, needed) in enumerate(zip(graph.layers, shapes.parameters, strict=True)):
        tensors = [random(one, k, shape, rng) for k, shape in enumerate(needed or ())]
        for k in range(len(tensors)):
            if (i, k) in shapes.shared:
                owner, index = shapes.shared[i, k]
                tensors[k] = made[owner][index]
        made[i] = tuple(tensors)
    places = {id(one): i for i, one in enumerate(graph.layers)}
    return net.with_layers(one.with_tensors(made[places[id(one)]]) if id(one) in places else one for one in net.layers)


def random(one: Layer, index: int, shape: tuple[int, ...], rng: np.random.Generator) -> Dense:
    """One tensor."""
    values = rng.standard_normal(shape)
    if one.type == "BatchNorm":
        values = (values, 2 * rng.uniform(0.5, 1.5, shape), np.full(shape, 2.0))[index]
    elif one.type == "BN" and index == 3:
        values = rng.uniform(0.5, 1.5, shape)
    elif one.type == "Scale" and index == 0:
        values = rng.uniform(0.3, 2.0, shape) * rng.choice([-1, 1], shape)
    elif len(shape) > 1:
        values /= np.sqrt(np.prod(shape[1:]))
    return Dense(np.asarray(values, np.float32))


def fed(net: Net, seed: int = 1) -> dict[str, np.ndarray]:
    """Normal noise for every input."""
    graph = build(net)
    shapes = infer(graph, strict=False)
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shapes.blobs[name]).astype(np.float32) for name in graph.inputs}


def error(before: Net, after: Net, seed: int = 1) -> float:
    """The largest relative error of the outputs of one network, found again in the other by name."""
    inputs = fed(before, seed)
    expected, found = run(before, inputs), run(after, inputs, list(build(before).outputs))
    return max(relative(expected[name], found[name]) for name in expected)


def relative(expected: np.ndarray, found: np.ndarray) -> float:
    """Length of the difference over length of what was expected; the difference itself where that is nothing."""
    assert expected.shape == found.shape
    length = float(np.linalg.norm(expected.astype(np.float64)))
    return float(np.linalg.norm(found.astype(np.float64) - expected)) / (length or 1.0)


def types(net: Net) -> list[str]:
    """The types of the layers, in order."""
    return [one.type for one in net.layers]


def reasons(net: Net, step: str) -> dict[str, str]:
    """Why layers were left alone."""
    return {note.layer: note.text for note in net.report if note.step == step and note.data.get("kept")}
