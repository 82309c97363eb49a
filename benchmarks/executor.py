"""Time of one forward pass at batch 1, and of a training step of LeNet at batch 64, beside others in the same run.

    python benchmarks/executor.py [--threads 1] [--rounds 15] [MODEL ...]

Plain PyTorch is the same network written with ``torch.nn`` (plain_modules.py), OpenCV its dnn module on the same
weights, ONNX Runtime what `demitasse.to_onnx` writes. Everybody runs once in every round, in turn, and computes the
same numbers, which is checked; what is shown is the least time on the processor (with several threads: of the clock).
nsfw is Yahoo's model, weights of the others are random.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import onnxruntime
import torch

import demitasse as dm
import plain_modules
from corpus import ZOO, nsfw
from demitasse.layers import build, infer
from demitasse.net import Dense, Net
from demitasse.runtime.network import Network
from demitasse.runtime.opencv import to_opencv
from table import geometric_mean, publish

PROTOTXTS = ZOO / "prototxt"

Step = Callable[[], np.ndarray]

PEERS = ("demitasse", "PyTorch", "OpenCV", "ONNX Runtime")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="of alexnet, vgg16, nsfw, lenet; all of them if none is given"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    clock = time.process_time if options.threads == 1 else time.perf_counter
    contests: dict[str, Callable[[], Mapping[str, Step]]] = {
        "alexnet": lambda: forward(generated("alexnet_deploy"), (1, 3, 227, 227), plain_modules.alexnet),
        "vgg16": lambda: forward(generated("vgg16_v1_deploy"), (1, 3, 224, 224), plain_modules.vgg16),
        "nsfw": lambda: forward(nsfw().load(), (1, 3, 224, 224), plain_modules.resnet50_1by2),
        "lenet": lenet_training,
    }
    rows: list[dict[str, Any]] = []
    for name in options.models or contests:
        steps = contests[name]()
        times = timed(steps, options.rounds, clock)
        row: dict[str, Any] = {"network": name if name != "lenet" else "lenet, training step at batch 64"}
        row |= {f"{who}, ms": 1000 * times[who] if who in times else "-" for who in PEERS}
        rows.append(row | {"of PyTorch's": times["demitasse"] / times["PyTorch"]})
    summary = {
        "of plain PyTorch's time, geometric mean": geometric_mean(row["of PyTorch's"] for row in rows),
        "threads": options.threads,
        "versions": f"torch {torch.__version__}, OpenCV {cv2.__version__}, ONNX Runtime {onnxruntime.__version__}",
    }
    publish("executor", "one pass, milliseconds", rows, summary)


def timed(steps: Mapping[str, Step], rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """Least seconds of each, taking turns. SystemExit if they do not compute the same."""
    first = {who: step() for who, step in steps.items()}
    expected = first["PyTorch"]
    for who, values in first.items():
        error = np.abs(values.reshape(-1) - expected.reshape(-1)).max() / np.abs(expected).max()
        if not error < 1e-4:
            raise SystemExit(f"{who} computes something else than PyTorch: off by {error:.1e} of the largest value")
    times: dict[str, list[float]] = {who: [] for who in steps}
    for _ in range(rounds):
        for who, step in steps.items():
            start = clock()
            step()
            times[who].append(clock() - start)
    return {who: min(values) for who, values in times.items()}


def forward(net: Net, shape: tuple[int, ...], plain: Callable[[Net], torch.nn.Module]) -> dict[str, Step]:
    graph = build(net)
    (source,), (output,) = graph.inputs, graph.outputs
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    ours, module, other = Network(graph), plain(net), to_opencv(net)
    other.setInput(x, source)
    session = onnx_session(net)

    @torch.inference_mode()
    def demitasse_step() -> np.ndarray:
        return ours({source: x})[output].numpy()

    @torch.inference_mode()
    def plain_step() -> np.ndarray:
        return module(torch.from_numpy(x)).numpy()

    def opencv_step() -> np.ndarray:
        other.setInput(x, source)
        return other.forward()

    def onnx_step() -> np.ndarray:
        return session.run(None, {session.get_inputs()[0].name: x})[0]

    return dict(zip(PEERS, (demitasse_step, plain_step, opencv_step, onnx_step), strict=True))


def onnx_session(net: Net) -> onnxruntime.InferenceSession:
    """The exported network, on as many threads as torch has."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    with TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        dm.to_onnx(net, path)
        return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])


def lenet_training() -> dict[str, Step]:
    """One step of SGD with momentum; the loss is what both have to agree on."""
    net = generated("lenet_train_test", phase="TRAIN", data=(64, 1, 28, 28), label=(64,))
    rng = np.random.default_rng(0)
    pictures = torch.from_numpy(rng.standard_normal((64, 1, 28, 28)).astype(np.float32))
    labels = torch.from_numpy(rng.integers(0, 10, 64))
    ours, module = Network(build(net, "TRAIN")), plain_modules.lenet(net).train()
    criterion = torch.nn.CrossEntropyLoss()
    settings = {"lr": 1e-4, "momentum": 0.9, "weight_decay": 5e-4}
    our_sgd = torch.optim.SGD(ours.parameters(), **settings)
    their_sgd = torch.optim.SGD(module.parameters(), **settings)
    inputs = {"data": pictures, "label": labels}

    def demitasse_step() -> np.ndarray:
        our_sgd.zero_grad()
        loss = ours.loss(ours(inputs))
        loss.backward()
        our_sgd.step()
        return loss.detach().numpy()

    def plain_step() -> np.ndarray:
        their_sgd.zero_grad()
        loss = criterion(module(pictures), labels)
        loss.backward()
        their_sgd.step()
        return loss.detach().numpy()

    return {"demitasse": demitasse_step, "PyTorch": plain_step}


def generated(name: str, phase: str = "TEST", **shapes: tuple[int, ...]) -> Net:
    """A network of the zoo with random weights that keep activations at one scale."""
    graph = build(dm.load(PROTOTXTS / f"{name}.prototxt"), phase)
    rng = np.random.default_rng(0)
    parameters = infer(graph, shapes).parameters
    layers = []
    for layer, blobs in zip(graph.layers, parameters, strict=True):
        values = [rng.standard_normal(shape).astype(np.float32) * gain(shape) for shape in blobs or ()]
        layers.append(layer.with_tensors(map(Dense, values)))
    return graph.net.with_layers(layers)


def gain(shape: tuple[int, ...]) -> np.float32:
    return np.float32(np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.05)


if __name__ == "__main__":
    main()
