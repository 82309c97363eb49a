"""Networks pruned to half their multiplications, before and after, in OpenCV.

    python benchmarks/speed_of_pruned.py [--rounds 5]

Time is CPU time of one thread (the least over some rounds, the two networks taking turns), so that what else runs on
the machine does not count; wall-clock time of the same runs stands beside it.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

import demitasse as dm
from corpus import Model, nsfw, pruned_vgg16, res10
from demitasse.layers import build, infer
from demitasse.transforms.prune import Prune
from table import geometric_mean, publish

WANTED = 1.8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rows = [row(model, options.rounds) for model in (res10(), nsfw(), pruned_vgg16())]
    summary = {"speed-up, geometric mean": geometric_mean(one["speed-up"] for one in rows)}
    publish("speed_of_pruned", "Pruned to half the multiplications, in OpenCV on one thread", rows, summary)
    if any(one["speed-up"] < WANTED for one in rows):
        raise SystemExit(1)


def row(model: Model, rounds: int) -> dict[str, Any]:
    """One model."""
    net = detector_body(model.load())
    small = Prune(macs=0.5, ranking="time", round_to=8)(net)
    shapes = [infer(build(one)) for one in (net, small)]
    read = {name for layer in net.layers for name in layer.inputs}
    feed = {name: shapes[0].blobs[name] for name in build(net).inputs if name in read}
    times = measured((net, small), feed, rounds)
    (before, wall), (after, wall_after) = times
    return {
        "model": model.name,
        "MACs": shapes[0].total_macs,
        "MACs left %": 100 * (shapes[1].total_macs or 0) / (shapes[0].total_macs or 1),
        "parameters left %": 100 * small.parameters / net.parameters,
        "CPU ms before": 1e3 * before,
        "CPU ms after": 1e3 * after,
        "speed-up": before / after,
        "wall ms before": 1e3 * wall,
        "wall ms after": 1e3 * wall_after,
    }


def detector_body(net: dm.Net) -> dm.Net:
    """Without what follows a Python layer, which OpenCV cannot run: of Faster R-CNN the convolutions."""
    gone: set[str] = set()
    layers = []
    for layer in build(net).layers:
        if layer.type == "Python" or gone.intersection(layer.inputs):
            gone.update(layer.outputs)
        else:
            layers.append(layer)
    return net.with_layers(layers)


def measured(nets: tuple[dm.Net, dm.Net], feed: Any, rounds: int) -> list[tuple[float, float]]:
    """Least CPU and wall-clock seconds of a pass, for each network."""
    import cv2

    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    inputs = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in feed.items()}
    found = [dm.to_opencv(net) for net in nets]
    best = [(np.inf, np.inf), (np.inf, np.inf)]
    for _ in range(rounds + 1):
        for i, one in enumerate(found):
            for name, values in inputs.items():
                one.setInput(values, name)
            cpu, wall = time.process_time(), time.perf_counter()
            one.forward(one.getUnconnectedOutLayersNames())
            taken = (time.process_time() - cpu, time.perf_counter() - wall)
            best[i] = (min(best[i][0], taken[0]), min(best[i][1], taken[1]))
    return [(float(cpu), float(wall)) for cpu, wall in best]


if __name__ == "__main__":
    main()
