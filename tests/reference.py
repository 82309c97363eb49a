"""The reference data of real Caffe (``golden``), and how a network of ours is held against it."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from demitasse.caffe.read import parse_net, read_net
from demitasse.errors import NetError
from demitasse.layers import build, infer
from demitasse.net import Dense, Layer, Net
from demitasse.runtime.network import Network

Arrays = Mapping[str, np.ndarray]


LOST_GRADIENTS = ("HingeLoss", "Parameter")
"""Types whose recorded gradients are zeros: the recording cleared gradients between the passes, where HingeLoss leaves
its margins, and which a Parameter shares with its output. In a net that trains nothing clears them there."""


@dataclass(frozen=True)
class LayerCase:
    """One layer on given inputs, and what Caffe made of them."""

    record: dict[str, Any] = field(repr=False)
    arrays: Arrays = field(repr=False)

    def __str__(self) -> str:
        return f"{self.record['layer_type']}-{self.record['name']}-{self.record['engine']}"

    def part(self, kind: str) -> dict[str, np.ndarray]:
        """Arrays of a kind ("in", "out" …) by blob name or number."""
        prefix = f"{self.record['name']}/{kind}/"
        return {key.removeprefix(prefix): self.arrays[key] for key in self.arrays if key.startswith(prefix)}


class Stored(Mapping[str, np.ndarray]):
    """An .npz that is opened when somebody looks into it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.loaded: dict[str, np.ndarray] | None = None

    def all(self) -> dict[str, np.ndarray]:
        if self.loaded is None:
            self.loaded = dict(np.load(self.path)) if self.path.exists() else {}
        return self.loaded

    def __getitem__(self, key: str) -> np.ndarray:
        return self.all()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.all())

    def __len__(self) -> int:
        return len(self.all())


def layer_cases(golden: Path) -> list[LayerCase]:
    """Every layer case, rejected ones too."""
    return [
        LayerCase(record, arrays)
        for path in sorted((golden / "layers").glob("*.json"))
        for arrays in [Stored(path.with_suffix(".npz"))]
        for record in json.loads(path.read_text())
    ]


def read_json(path: Path) -> Any:
    """JSON, compressed or not."""
    return json.loads(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())


def with_weights(net: Net, weights: Mapping[str, list[np.ndarray]]) -> Net:
    """The network with these blobs of weights by layer."""
    return net.with_layers(
        layer.with_tensors(map(Dense, weights[layer.name])) if layer.name in weights else layer for layer in net.layers
    )


def numbered(arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Arrays by their number."""
    return [arrays[key] for key in sorted(arrays, key=int)]


def problems_of_layer(case: LayerCase, tolerance: float = 1e-5) -> list[str]:
    """What our layer computes differently; nothing, if all is well."""
    record = case.record
    net = with_weights(parse_net(record["prototxt"].encode()), {"L": numbered(case.part("param"))})
    network = Network(build(net, record["phase"]), writable=True)
    fed = case.part("in") or (case.part("out") if record["layer_type"] == "Input" else {})
    inputs = {name: torch.from_numpy(values.copy()) for name, values in fed.items()}
    learned = case.part("bottom_diff")
    for name in learned:
        inputs[name].requires_grad_()
    for _ in range(record["forward_passes"]):
        outputs = network(inputs, record["tops"])
    problems: list[str] = []
    for name, expected in case.part("out").items():
        problems += differences(f"output {name}", outputs[name].detach().numpy(), expected, tolerance)
    for index, expected in case.part("param_after").items():
        found = network.weight("L", int(index)).detach().numpy()
        problems += differences(f"weights {index} afterwards", found, expected, tolerance)
    return problems + problems_of_gradients(case, network, inputs, outputs, tolerance)


def problems_of_gradients(
    case: LayerCase,
    network: Network,
    inputs: Mapping[str, torch.Tensor],
    outputs: Mapping[str, torch.Tensor],
    tolerance: float,
) -> list[str]:
    """Differences of the gradients on inputs and weights."""
    fed = case.part("top_diff")
    wanted = [(f"gradient of {name}", inputs[name], g) for name, g in case.part("bottom_diff").items()]
    if case.record["layer_type"] in LOST_GRADIENTS:
        return []
    for index, gradient in case.part("param_diff").items():
        wanted.append((f"gradient of weights {index}", network.weight("L", int(index)), gradient))
    if not fed or not wanted:
        return []
    terms = [
        (outputs[name] * torch.from_numpy(values)).sum() for name, values in fed.items() if outputs[name].requires_grad
    ]
    sources = [source for _, source, _ in wanted if source.requires_grad]
    found = torch.autograd.grad(sum(terms), sources, allow_unused=True) if terms else [None] * len(sources)
    gradients = dict(zip(map(id, sources), found, strict=True))
    problems: list[str] = []
    for what, source, expected in wanted:
        gradient = gradients.get(id(source))
        values = torch.zeros_like(source) if gradient is None else gradient
        problems += differences(what, values.detach().numpy(), expected, tolerance)
    return problems


def differences(what: str, found: np.ndarray, expected: np.ndarray, tolerance: float) -> list[str]:
    """One line if two arrays differ by more than ``tolerance`` of the largest magnitude, or in shape, or in what is no
    finite number."""
    if found.shape != expected.shape:
        return [f"{what}: shape {found.shape}, and Caffe's is {expected.shape}"]
    finite = np.isfinite(expected)
    if not np.array_equal(np.where(finite, 0, found), np.where(finite, 0, expected), equal_nan=True):
        return [f"{what}: other values that are not finite"]
    if not finite.any():
        return []
    largest = float(np.abs(expected[finite]).max())
    distance = float(np.abs(found[finite].astype(np.float64) - expected[finite]).max())
    if not distance <= tolerance * largest + 1e-12:
        return [f"{what}: off by {distance / (largest or 1):.1e} of the largest value, {largest:.3g}"]
    return []


def refusal(case: LayerCase) -> str:
    """What we say where Caffe aborts; "" if we run it all the same."""
    record = case.record
    try:
        net = parse_net(record["prototxt"].encode())
        graph = build(net, record["phase"], splits=True)
        shapes = infer(graph)
        weights = {
            layer.name: [np.zeros(shape, np.float32) for shape in found or ()]
            for layer, found in zip(graph.layers, shapes.parameters, strict=True)
        }
        network = Network(build(with_weights(net, weights), record["phase"]))
        shape_of = {name: shapes.blobs[name] or () for name in graph.inputs}
        network({name: np.ones(shape, np.float32) for name, shape in shape_of.items()}, "*")
    except NetError as error:
        return str(error)
    return ""


def problems_of_dropout(case: LayerCase) -> list[str]:
    """Every value is 0 or scaled up, there are as many zeros as the ratio says, and gradients get the same mask."""
    network = Network(build(parse_net(case.record["prototxt"].encode()), "TRAIN"), seed=1)
    x = torch.ones(200, 100, requires_grad=True)
    y = network({"x0": x})["y0"]
    (gradient,) = torch.autograd.grad(y.sum(), x)
    ratio = network.graph.net.layer("L").message.message("dropout_param").number("dropout_ratio", 0.5)
    problems = differences("gradient", gradient.numpy(), y.detach().numpy(), 0)
    problems += [] if set(y.unique().tolist()) == {0.0, float(np.float32(1 / (1 - ratio)))} else ["other values"]
    return problems + ([] if abs(float((y == 0).float().mean()) - ratio) < 0.02 else ["another share of zeros"])


@dataclass(frozen=True)
class Run:
    """A whole network of the zoo, run forward by Caffe. ``files``: the zoo."""

    path: Path
    files: Path

    def __str__(self) -> str:
        return self.path.stem


def runs(golden: Path, zoo: Path) -> list[Run]:
    """Every recorded run."""
    paths = sorted((golden / "nets").glob("*.npz"))
    return [Run(path.with_suffix(".json"), zoo) for path in paths]


def problems_of_run(run: Run, tolerance: float = 1e-4) -> list[str]:
    """What our network computes differently: in any blob, in any output."""
    record, arrays = read_json(run.path), np.load(run.path.with_suffix(".npz"))
    net = network_of(record, run.files)
    problems = wrong_weights(record, net)
    if problems:
        return problems
    graph = build(net, "TEST", splits=True)
    network = Network(graph)
    expected = {blob["name"]: blob for blob in map(as_mapping, record["blobs"])}
    found: dict[str, list[str]] = {}
    outputs: dict[str, np.ndarray] = {}
    with torch.inference_mode():
        inputs = inputs_of(record, arrays)
        for name, values in inputs.items():
            found[name] = differing_summary(name, values, expected[name], tolerance)
        for layer, given in network.walk(inputs):
            for name, value in zip(layer.outputs, given, strict=True):
                found[name] = differing_summary(name, value.numpy(), expected[name], tolerance)
                outputs |= {name: value.numpy()} if name in graph.outputs else {}
    problems += [problem for name in expected for problem in found.get(name, [f"blob {name} is missing"])]
    return problems + wrong_outputs(arrays, outputs, tolerance)


def as_mapping(blob: Any) -> dict[str, Any]:
    """A blob's summary, which may be a list in the file."""
    names = ("name", "shape", "mean", "std", "l2", "min", "max", "first8")
    return blob if isinstance(blob, dict) else dict(zip(names, blob, strict=True))


def network_of(record: Mapping[str, Any], files: Path) -> Net:
    """The network of a run with its weights."""
    net = parse_net((files / record["file"]).read_bytes())
    kinds = {name: kind for name, kind, _, _ in record["params"]}
    net = net.with_layers(as_it_was_run(layer, kinds.get(layer.name, layer.type)) for layer in net.layers)
    if record["weights"] != "rule":
        return read_net(files / record["file"], files / record["weights"].removeprefix("file "))
    return with_weights(
        net, {name: drawn(kind, k, [shape for shape, *_ in blobs]) for name, kind, k, blobs in record["params"]}
    )


PROPOSALS = """layer { proposal_param {
    feat_stride: 16 base_size: 16 min_size: 16 ratio: 0.5 ratio: 1 ratio: 2 scale: 8 scale: 16 scale: 32
    pre_nms_topn: 6000 post_nms_topn: 20 nms_thresh: 0.7 } }"""
"""What the note of the Faster R-CNN run says it took in place of the Python layer."""


def as_it_was_run(layer: Layer, kind: str) -> Layer:
    """The layer with the changes that the recorded run's note tells: of type ``kind``, proposals compiled."""
    if layer.type != "Python":
        return replace(layer, type=kind)
    return replace(layer, type="Proposal", message=parse_net(PROPOSALS.encode()).layers[0].message)


def drawn(kind: str, k: int, shapes: list[list[int]]) -> list[np.ndarray]:
    """Weights of the k-th layer that has any, by the rule of the reference data."""
    state = np.random.RandomState(1000 + k)
    return [np.asarray(drawn_blob(state, kind, i, tuple(shape)), np.float32) for i, shape in enumerate(shapes)]


def drawn_blob(state: np.random.RandomState, kind: str, i: int, shape: tuple[int, ...]) -> Any:
    """One blob."""
    normal, uniform = state.standard_normal, state.uniform
    match kind, i:
        case "BatchNorm", 0:
            return 2 * (0.1 * normal(shape))
        case "BatchNorm", 1:
            return 2 * uniform(0.5, 1.5, shape)
        case "BatchNorm", _:
            return np.full(shape, 2.0)
        case "Scale", 0:
            return uniform(0.3, 0.9, shape)
        case "Scale", _:
            return 0.2 * normal(shape)
        case "PReLU", _:
            return uniform(0, 0.5, shape)
        case "Normalize", _:
            return uniform(5, 15, shape)
        case (("LSTM" | "RNN"), _):
            return uniform(-0.1, 0.1, shape)
        case (("Convolution" | "Deconvolution" | "DepthwiseConvolution" | "InnerProduct"), 0):
            return normal(shape) * np.sqrt(2 / (np.prod(shape, dtype=np.int64) // shape[0]))
    return 0.05 * normal(shape)


def wrong_weights(record: Mapping[str, Any], net: Net) -> list[str]:
    """Layers whose weights are not those that Caffe ran with."""
    layers = {layer.name: layer for layer in net.layers}
    problems = []
    for name, _, _, blobs in record["params"]:
        for k, (shape, _, digest) in enumerate(blobs):
            values = np.ascontiguousarray(layers[name].tensors[k].array(), np.float32)
            if values.size != np.prod(shape) or hashlib.sha256(values.tobytes()).hexdigest()[:16] != digest:
                problems.append(f"weights {k} of {name} are others")
    return problems


def inputs_of(record: Mapping[str, Any], arrays: Arrays) -> dict[str, np.ndarray]:
    """Inputs of a run, by the rule of the reference data or as they are given."""
    state = np.random.RandomState(77)
    return {
        name: arrays[f"in/{name}"] if how == "given" else state.standard_normal(shape).astype(np.float32)
        for name, shape, how in record["inputs"]
    }


def differing_summary(name: str, values: np.ndarray, expected: Mapping[str, Any], tolerance: float) -> list[str]:
    """One line if a blob differs in shape, or in a figure by more than ``tolerance`` of its largest magnitude."""
    if list(values.shape) != expected["shape"]:
        return [f"blob {name}: shape {list(values.shape)}, and Caffe's is {expected['shape']}"]
    exact = values.astype(np.float64)
    largest = max(abs(expected["min"]), abs(expected["max"]))
    figures = {"mean": exact.mean(), "std": exact.std(), "min": exact.min(), "max": exact.max()}
    figures["l2"] = np.sqrt(np.square(exact).sum())
    scales = {"l2": expected["l2"]}
    problems = [
        f"blob {name}: {what} is {value:.6g}, and Caffe's is {expected[what]:.6g}"
        for what, value in figures.items()
        if not abs(value - expected[what]) <= tolerance * scales.get(what, largest) + 1e-12
    ]
    first = exact.reshape(-1)[:8] - np.asarray(expected["first8"], np.float64)
    if not np.all(np.abs(first) <= tolerance * largest + 1e-12):
        problems.append(f"blob {name}: its first values are off by {np.abs(first).max() / largest:.1e} of the largest")
    return problems


def wrong_outputs(arrays: Arrays, outputs: Arrays, tolerance: float) -> list[str]:
    """Outputs, whole or sampled, that differ."""
    problems: list[str] = []
    for key in arrays:
        kind, _, name = key.partition("/")
        if kind == "out":
            problems += differences(f"output {name}", outputs[name], arrays[key], tolerance)
        elif kind == "out_sample":
            flat = outputs[name].reshape(-1)
            sample = flat[np.linspace(0, flat.size - 1, 8000).astype(np.int64)]
            problems += differences(f"output {name}", sample, arrays[key], tolerance)
    return problems


def training_cases(golden: Path) -> list[LayerCase]:
    """Small whole networks with a loss, in phase TRAIN."""
    arrays = Stored(golden / "grads/grads.npz")
    return [
        LayerCase(record | {"layer_type": "net", "engine": "bvlc"}, arrays)
        for record in read_json(golden / "grads/grads.json")
    ]


def problems_of_training(case: LayerCase, tolerance: float = 1e-5) -> list[str]:
    """Blobs, loss and gradients of the weights that differ."""
    weights: dict[str, dict[str, np.ndarray]] = {}
    for key, values in case.part("param").items():
        layer, _, index = key.rpartition("/")
        weights.setdefault(layer, {})[index] = values
    net = with_weights(
        parse_net(case.record["prototxt"].encode()), {name: numbered(of) for name, of in weights.items()}
    )
    network = Network(build(net, "TRAIN", splits=True))
    blobs = network({name: values.copy() for name, values in case.part("in").items()}, "*")
    problems: list[str] = []
    for name, expected in case.part("blob").items():
        found = blobs.get(name)
        problems += (
            differences(f"blob {name}", found.detach().numpy(), expected, tolerance)
            if found is not None
            else [f"no {name}"]
        )
    loss = network.loss(blobs)
    if abs(loss.item() - case.record["loss"]) > tolerance * abs(case.record["loss"]):
        problems.append(f"the loss is {loss.item()}, and Caffe's is {case.record['loss']}")
    loss.backward()
    for key, expected in case.part("param_diff").items():
        layer, _, index = key.rpartition("/")
        gradient = network.weight(layer, int(index)).grad
        values = np.zeros_like(expected) if gradient is None else gradient.numpy().reshape(expected.shape)
        problems += differences(f"gradient of {key}", values, expected, tolerance)
    return problems
