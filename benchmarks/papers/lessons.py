"""What small networks learn from: pictures as they are and slightly deformed, and what a larger network says of them.

The larger network (``teacher.prototxt``, a convolutional one) is trained on the same 55,000 pictures and gives its
logits once; whoever learns looks them up. Everything is made by the first process that asks, and kept in a folder.
"""

from __future__ import annotations

import fcntl
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from benchmarks.papers.mnist import Digits, Mnist
from benchmarks.papers.reproduction import network, solver_settings

import demitasse as dm
from demitasse.layers import build
from demitasse.runtime.network import Network
from demitasse.train.shaping import Attached
from demitasse.train.solver import Solver

__all__ = ["Lessons", "Taught", "deformed"]

COPIES = 4
"""Deformed copies of each picture."""

EPOCHS, BATCH = 5, 128
"""Of the teacher."""


@dataclass(frozen=True)
class Lessons:
    """``pictures``: (1 + copies)×n×1×28×28, bytes; the first copy is not deformed. ``logits``: (1 + copies)×n×10."""

    pictures: npt.NDArray[np.uint8]
    logits: npt.NDArray[np.float32]
    labels: npt.NDArray[np.float32]

    @classmethod
    def of(cls, data: Mnist, folder: Path) -> Lessons:
        """Those in a folder; they are made if there are none."""
        pictures, logits = folder / "pictures.npy", folder / "logits.npy"
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not logits.exists():
                plain = np.rint(data.train.images * 255).astype(np.uint8)
                every = np.stack([plain, *(deformed(plain, seed) for seed in range(COPIES))])
                np.save(pictures, every)
                said = logits_of(taught(every, data), every)
                np.save(logits, said)
        return cls(np.load(pictures), np.load(logits), data.train.labels)

    def batches(self, size: int, seed: int, plain: float) -> Callable[[int], Mapping[str, npt.NDArray[np.float32]]]:
        """What `Solver.step` takes. ``plain``: the share of pictures as they are."""

        def batch(number: int) -> Mapping[str, npt.NDArray[np.float32]]:
            random = np.random.default_rng((seed, number))
            which = random.integers(0, len(self.labels), size)
            copy = np.where(random.random(size) < plain, 0, random.integers(1, len(self.pictures), size))
            pictures = self.pictures[copy, which].astype(np.float32) / np.float32(255)
            return {"data": pictures, "label": self.labels[which], "teacher": self.logits[copy, which]}

        return batch


@dataclass(frozen=True)
class Taught:
    """A shaping: the loss of not saying what the blob "teacher" says, on top of that of the labels.

    ``blob``: the logits; ``temperature``: divides both (Hinton et al., arXiv 1503.02531).
    """

    blob: str
    temperature: float = 2.0

    def attach(self, solver: Solver) -> Attached:
        return AttachedLessons(self)


class AttachedLessons(Attached):
    def __init__(self, options: Taught) -> None:
        self.options = options

    @property
    def blobs(self) -> tuple[str, ...]:
        return (self.options.blob,)

    def loss(self, outputs: Mapping[str, torch.Tensor], inputs: Mapping[str, Any]) -> torch.Tensor:
        heat = self.options.temperature
        said = torch.log_softmax(outputs[self.options.blob] / heat, 1)
        wanted = torch.softmax(torch.as_tensor(inputs["teacher"]) / heat, 1)
        return heat * heat * torch.nn.functional.kl_div(said, wanted, reduction="batchmean")


def deformed(pictures: npt.NDArray[np.uint8], seed: int) -> npt.NDArray[np.uint8]:
    """Each n×1×28×28 picture turned by up to 10°, scaled by 10 %, sheared by 0.15, shifted by 1.8 pixels, and warped by
    a smooth random field of half a pixel (Simard et al., 2003)."""
    random = np.random.default_rng((seed, 28))
    y, x = np.mgrid[0:28, 0:28].astype(np.float32)
    out = np.empty_like(pictures)
    for i, picture in enumerate(pictures[:, 0]):
        angle = math.radians(random.uniform(-10, 10))
        wide, high = 1 + random.uniform(-0.1, 0.1, 2)
        shear = random.uniform(-0.15, 0.15)
        right, down = random.uniform(-1.8, 1.8, 2) + 13.5
        cos, sin = math.cos(angle), math.sin(angle)
        field = cv2.GaussianBlur(random.uniform(-1, 1, (28, 28, 2)).astype(np.float32), (0, 0), 4.0) * 12
        u, v = x - 13.5, y - 13.5
        across = cos * wide * u + (shear - sin * high) * v + right + field[..., 0]
        along = sin * wide * u + cos * high * v + down + field[..., 1]
        out[i, 0] = cv2.remap(picture, across.astype(np.float32), along.astype(np.float32), cv2.INTER_LINEAR)
    return out


def taught(pictures: npt.NDArray[np.uint8], data: Mnist) -> dm.Net:
    """The teacher, trained on all copies alike."""
    iterations = EPOCHS * len(data.train) // BATCH
    text = f"""type: "Adam" base_lr: 0.003 momentum: 0.9 momentum2: 0.999 lr_policy: "poly" power: 1
        max_iter: {iterations} random_seed: 1"""
    solver = Solver(solver_settings(text, network("teacher")), {"data": (BATCH, 1, 28, 28), "label": (BATCH,)})
    none = np.zeros((*pictures.shape[:2], 1), np.float32)
    given = Lessons(pictures, none, data.train.labels).batches(BATCH, 1, 1 / len(pictures))
    for _ in range(iterations):
        solver.step(lambda number: {name: values for name, values in given(number).items() if name != "teacher"})
    net = solver.net()
    said = logits_of(net, np.rint(data.held_out.images * 255).astype(np.uint8)[None])[0]
    print({"teacher": "held out", "error, %": wrong(said, data.held_out)}, flush=True)
    return net


def logits_of(net: dm.Net, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """What a network says of copies×n pictures, before its softmax."""
    run = Network(build(net, "TEST"))
    out = np.empty((*pictures.shape[:2], 10), np.float32)
    with torch.inference_mode():
        for copy, some in enumerate(pictures):
            for first in range(0, len(some), 500):
                fed = some[first : first + 500].astype(np.float32) / np.float32(255)
                out[copy, first : first + 500] = run({"data": fed}, ["ip2"])["ip2"].numpy()
    return out


def wrong(logits: npt.NDArray[np.float32], digits: Digits) -> float:
    """Per cent."""
    return 100 * float((logits.argmax(1) != digits.labels).mean())
