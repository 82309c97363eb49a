"""The question that it all began with: zeros set from the outside in a 547 MB VGG16 Faster R-CNN, and what leaves.

    python benchmarks/seed_model.py

60 % of the rows of fc6 and fc7 and 40 % of the filters of every convolution of the body are set to zero, biases too.
The result has to have the size that follows from counting, to the byte; time and memory are those of the command;
ProposalLayer and ROIPooling have to be as they were.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import demitasse as dm
from corpus import CACHE, Model, pruned_vgg16
from measuring import command
from table import publish

ROWS = {"fc6": 0.6, "fc7": 0.6}
FILTERS = 0.4

SECONDS, MEMORY = 30.0, 1.3
"""What is promised on two cores: seconds, and peak memory over the size of the model."""


def main() -> None:
    with tempfile.TemporaryDirectory(dir=CACHE) as temporary:
        folder = Path(temporary)
        # In a process of its own: a child's peak begins with what its parent holds.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            model, expected = pool.submit(zeroed, pruned_vgg16(), folder).result()
        row = shrunk(model, expected, folder)
    met = row["bytes after"] == expected and row["peak / model"] <= MEMORY and row["seconds"] <= SECONDS
    met = met and row["again: nothing"] == row["Proposal, ROIPooling as they were"] == "yes"
    publish("seed_model", "A caffemodel with zeros set from the outside", [row], {"as promised": met})
    if not met:
        raise SystemExit(1)


def shrunk(model: Model, expected: int, folder: Path) -> dict[str, Any]:
    """What the command makes of it, and what it makes of that."""
    out, twice = folder / "small", folder / "twice"
    run = command("shrink", model.deploy, model.weights, "-o", out, "--no-run", "-q")
    text, small = out / "zeroed.prototxt", out / "zeroed.caffemodel"
    again = command("shrink", text, small, "-o", twice, "--no-run")
    same = (twice / small.name).read_bytes() == small.read_bytes() and "nothing can leave" in again.output
    untouched = all(block(model.deploy, name) == block(text, name) for name in ("proposal", "roi_"))
    return {
        "model": model.name,
        "bytes": model.size,
        "bytes after": small.stat().st_size,
        "expected": expected,
        "seconds": run.seconds,
        "peak / model": run.peak / model.size,
        "again: nothing": "yes" if same else "no",
        "Proposal, ROIPooling as they were": "yes" if untouched else "no",
    }


def zeroed(model: Model, folder: Path) -> tuple[Model, int]:
    """The model with zeros, and how large what is left has to be."""
    net = model.load()
    rng = np.random.default_rng(60)
    layers, left = [], {}
    for layer in net.layers:
        body = layer.type == "Convolution" and layer.name.startswith("conv")
        share = ROWS.get(layer.name, FILTERS if body else 0.0)
        tensors = list(layer.tensors)
        if share:
            weights, bias = (np.array(tensor.array()) for tensor in tensors)
            dead = rng.permutation(len(bias))[: int(share * len(bias))]
            weights[dead], bias[dead] = 0, 0
            tensors = [dm.Dense(weights), dm.Dense(bias)]
            left[layer.name] = len(bias) - len(dead)
        layers.append(layer.with_tensors(tensors))
    deploy, weights_file = folder / "zeroed.prototxt", folder / "zeroed.caffemodel"
    changed = net.with_layers(layers)
    dm.save(changed, deploy, weights_file)
    return Model("VGG16 Faster R-CNN, zeroed", deploy, weights_file), counted(changed, left)


def counted(net: dm.Net, left: dict[str, int]) -> int:
    """Bytes of the same network, built with so many channels in the first place: written with weights of zeros."""
    before = {"rpn_conv/3x3": "conv5_3", "fc7": "fc6", "cls_score": "fc7", "bbox_pred": "fc7"}
    layers, previous = [], ""
    for layer in net.layers:
        if layer.tensors:
            source = before.get(layer.name, previous)
            shape = list(layer.tensors[0].shape)
            shape[0] = left.get(layer.name, shape[0])
            if layer.name == "fc6":
                shape[1] = shape[1] // 512 * left["conv5_3"]
            elif source:
                shape[1] = left.get(source, shape[1])
            tensors = [dm.Dense(np.broadcast_to(np.float32(0), shape)), dm.Dense(np.zeros(shape[0], np.float32))]
            layer = with_outputs(layer, shape[0]).with_tensors(tensors)
            previous = layer.name
        layers.append(layer)
    with tempfile.TemporaryDirectory(dir=CACHE) as temporary:
        file = Path(temporary) / "counted.caffemodel"
        dm.save(net.with_layers(layers), file.with_suffix(".prototxt"), file)
        return file.stat().st_size


def with_outputs(layer: dm.Layer, number: int) -> dm.Layer:
    """The layer, saying that it has so many outputs."""
    field = "convolution_param" if layer.type == "Convolution" else "inner_product_param"
    param: Any = layer.message.message(field).set("num_output", number)
    return dm.Layer(
        layer.name, layer.type, layer.inputs, layer.outputs, layer.message.set(field, param), (), layer.origin
    )


def block(path: Path, name: str) -> list[str]:
    """The lines of the layers whose names begin so."""
    text = path.read_text()
    return [part for part in text.split("layer {") if f"name: '{name}" in part or f'name: "{name}' in part]


if __name__ == "__main__":
    main()
