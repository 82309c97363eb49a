"""ONNX Runtime as a runtime: what is exported is run by it, and an ``.onnx`` of any origin can be compared.

Runs in this process: unlike OpenCV's importer, it answers what it cannot run with an error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from demitasse.errors import FileError, MissingExtraError, NetError

__all__ = ["Signature", "have_onnxruntime", "import_onnxruntime", "onnxruntime_version", "run_onnx", "signature"]

Arrays = Mapping[str, npt.NDArray[Any]]

FATAL_ONLY: Final = 4
"""Of ONNX Runtime's levels of logging: its errors are raised, too, and its warnings are nothing a user could change."""

DTYPES: Final = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}
"""Types of inputs, as ONNX Runtime spells them."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What an ``.onnx`` takes and gives. A size is ``None`` where any will do (a dynamic batch).

    ``values``: the names of all values that nodes compute, in order, the outputs included.
    """

    inputs: Mapping[str, tuple[int | None, ...]]
    outputs: Mapping[str, tuple[int | None, ...]]
    values: tuple[str, ...]


def have_onnxruntime() -> bool:
    """Whether the optional dependency is installed (it is not imported)."""
    return find_spec("onnxruntime") is not None


def import_onnxruntime(purpose: str) -> Any:
    """The module. MissingExtraError if it is absent."""
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError("onnxruntime", "onnx", purpose) from None
    return onnxruntime


def import_onnx(purpose: str) -> Any:
    """The onnx module. MissingExtraError if it is absent."""
    try:
        import onnx
    except ImportError:
        raise MissingExtraError("onnx", "onnx", purpose) from None
    return onnx


def onnxruntime_version() -> str:
    """Such as ``1.20.1``. MissingExtraError if it is absent."""
    return str(import_onnxruntime("asking for ONNX Runtime's version").__version__)


def signature(path: str | os.PathLike[str]) -> Signature:
    """What is in the file, weights in other files left where they are. FileError if it is no ONNX model."""
    model = parsed(Path(path))
    stored = {weight.name for weight in model.graph.initializer}
    inputs = {value.name: shape_of(value) for value in model.graph.input if value.name not in stored}
    computed = [name for node in model.graph.node for name in node.output if name]
    return Signature(inputs, {value.name: shape_of(value) for value in model.graph.output}, tuple(computed))


def shape_of(value: Any) -> tuple[int | None, ...]:
    """Sizes of an input or an output."""
    sizes = value.type.tensor_type.shape.dim
    return tuple(size.dim_value if size.HasField("dim_value") else None for size in sizes)


def run_onnx(
    path: str | os.PathLike[str],
    inputs: Sequence[Arrays],
    wanted: Sequence[str] = (),
    *,
    threads: int = 0,
) -> list[dict[str, npt.NDArray[np.float32]]]:
    """Run an ``.onnx`` on each set of inputs (name → array, converted to the type that the model takes).

    ``wanted``: names of any values that its nodes compute, names that are not in it are left out; if none is left, the
    model's own outputs. What comes out is float32. ``threads`` 0 leaves the choice to ONNX Runtime. FileError if the
    file is no model, NetError if ONNX Runtime refuses it or cannot run it on these inputs.
    """
    runtime = import_onnxruntime("running an ONNX model")
    file = Path(path)
    session = opened(runtime, file, wanted, threads)
    types = {value.name: DTYPES.get(value.type, np.float32) for value in session.get_inputs()}
    given = {value.name for value in session.get_outputs()}
    names = [name for name in dict.fromkeys(wanted) if name in given] or [x.name for x in session.get_outputs()]
    return list(results(session, file, inputs, types, names))


def opened(runtime: Any, path: Path, wanted: Sequence[str], threads: int) -> Any:
    """A session in which the wanted values are outputs."""
    if not path.is_file():
        raise FileError(f"{path}: cannot be read: there is no such file")
    options = runtime.SessionOptions()
    options.log_severity_level = FATAL_ONLY
    options.intra_op_num_threads = threads
    source: str | bytes = str(path)
    if wanted:
        source = with_outputs(path, wanted)
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
    try:
        return runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # each failure has a class of its own, all of them private
        raise NetError(f"{path}: ONNX Runtime cannot load it: {first_line(error)}") from None


def results(
    session: Any, path: Path, inputs: Sequence[Arrays], types: Mapping[str, Any], names: Sequence[str]
) -> Iterator[dict[str, npt.NDArray[np.float32]]]:
    """The outputs for one set of inputs after the other."""
    for feed in inputs:
        typed = {name: np.ascontiguousarray(feed[name], types[name]) for name in types if name in feed}
        missing = [name for name in types if name not in feed]
        if missing:
            raise NetError(f'{path}: input "{missing[0]}" is not given')
        try:
            found = session.run(list(names), typed)
        except Exception as error:
            raise NetError(f"{path}: ONNX Runtime cannot run it: {first_line(error)}") from None
        yield {name: np.asarray(value, np.float32) for name, value in zip(names, found, strict=True)}


def with_outputs(path: Path, wanted: Sequence[str]) -> str | bytes:
    """The model with more outputs; the file itself where that changes nothing."""
    model = parsed(path)
    have = {value.name for value in model.graph.output}
    computed = {name for node in model.graph.node for name in node.output if name}
    more = [name for name in dict.fromkeys(wanted) if name in computed and name not in have]
    if not more:
        return str(path)
    onnx = import_onnx("running an ONNX model")
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in more)
    content: bytes = model.SerializeToString()
    return content


def parsed(path: Path) -> Any:
    """The model's structure. FileError if there is none."""
    onnx = import_onnx("reading an ONNX model")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or error}") from None
    except Exception:
        raise FileError(f"{path}: is not an ONNX model") from None
    if not model.graph.node and not model.graph.output:
        raise FileError(f"{path}: is not an ONNX model")
    return model


def first_line(error: Exception) -> str:
    """What ONNX Runtime says, without the tail that repeats where in its own code."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
