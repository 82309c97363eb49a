"""A network made ready to be run on many pictures, some at a time, by whichever program can."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from demitasse.datasets.pictures import Picture
from demitasse.errors import NetError, OptionError
from demitasse.evaluate.inputs import picture_shape, place_in
from demitasse.evaluate.models import Model, Subject
from demitasse.evaluate.preprocessing import Preprocessing, Stated, preprocessing
from demitasse.evaluate.runtimes import Execution, Executor, Feeds, Results, Runtime, runtimes_for
from demitasse.evaluate.trial import missing_runtime
from demitasse.net import Net
from demitasse.runtime import require_torch
from demitasse.runtime.opencv import import_opencv

__all__ = ["RUNTIMES", "Asked", "Session", "chosen", "session"]

Asked = Literal["auto", "executor", "opencv", "onnx"]

RUNTIMES: tuple[Asked, ...] = ("auto", "executor", "opencv", "onnx")


@dataclass(frozen=True, slots=True)
class Session:
    """A network, what runs it, and how pictures get into it. ``shape``: of the input for pictures, a batch of one."""

    model: Model
    runtime: Runtime
    prepare: Preprocessing
    input: str
    shape: tuple[int, ...]

    def feed(self, pictures: Sequence[Picture]) -> dict[str, npt.NDArray[np.float32]]:
        """One batch."""
        one = np.concatenate([self.prepare(picture, self.shape) for picture in pictures])
        out = {self.input: one}
        for name, shape in self.model.inputs.items():
            if name != self.input:
                out[name] = place_in(name, shape, self.shape[2], self.shape[3], np.random.default_rng(0))
        return out

    def run(self, feeds: Feeds, wanted: Sequence[str]) -> Results:
        """What the wanted layers give. NetError if the network cannot be run."""
        return self.runtime.run(self.model, feeds, wanted)


def session(model: Model, stated: Stated, execution: Execution, asked: Asked = "auto") -> Session:
    """Ready to run. ``asked`` "auto": our executor if torch is installed, which needs no second copy of anything, else
    an independent program. NetError without an input for pictures, OptionError if the program is not for this kind of
    network."""
    inputs = model.inputs
    shape = picture_shape(inputs)
    name = next(name for name, sizes in inputs.items() if len(sizes) == 4)
    net = model.net if isinstance(model, Subject) else Net("", ())
    runtime = chosen(model, execution, asked)
    return Session(model, runtime, preprocessing(net, shape[1], stated=stated), name, shape)


def chosen(model: Model, execution: Execution, asked: Asked) -> Runtime:
    """The program that is asked for. OptionError if it does not run such a network, MissingExtraError if it is not
    installed."""
    caffe = isinstance(model, Subject)
    if asked != "auto" and caffe == (asked == "onnx"):
        kind = "a Caffe network" if caffe else "an ONNX model"
        raise OptionError(f"--runtime {asked} does not run {kind}: choose {'executor or opencv' if caffe else 'onnx'}")
    if asked == "executor":
        require_torch("--runtime executor")
        return Executor(execution)
    if asked == "opencv":
        import_opencv("--runtime opencv")
    programs = runtimes_for(model, execution)
    if not programs:
        raise NetError(missing_runtime(model, model))
    return programs[0] if asked == "opencv" else programs[-1]
