"""What a solver saves beside the weights: its iteration and its history, in Caffe's two forms of a solverstate."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from demitasse.atomic import replacing
from demitasse.caffe.blob import read_blob
from demitasse.caffe.encode import encode
from demitasse.caffe.model import mapped
from demitasse.caffe.wire import BYTES, VARINT, Reader
from demitasse.caffe.write import put_blob
from demitasse.errors import FileError, MissingExtraError, WireError
from demitasse.message import Message
from demitasse.net import Dense, Net

__all__ = ["SolverState", "is_hdf5", "read_state", "read_weights_hdf5", "write_state", "write_weights_hdf5"]

_HISTORY: Final = 3
_LARGEST: Final = 2**31 - 1
"""Above it numbers are negative for Caffe, which reads them as int32."""


@dataclass(frozen=True, slots=True, eq=False)
class SolverState:
    """``iteration``: updates made. ``learned_net``: path of the weights. ``history``: float32 arrays, in the order of
    the learnable blobs, once or twice over. ``step``: steps of the learning rate taken."""

    iteration: int
    learned_net: str
    history: tuple[npt.NDArray[np.float32], ...]
    step: int = 0


def is_hdf5(path: str | os.PathLike[str]) -> bool:
    """Whether Caffe would read the file as HDF5: by its name."""
    return Path(path).suffix in (".h5", ".hdf5")


def write_state(path: str | os.PathLike[str], state: SolverState) -> None:
    """A solverstate, HDF5 if the name ends in .h5. FileError if it cannot be written; nothing is left then."""
    if is_hdf5(path):
        h5py = import_h5py()
        with replacing(path) as file, h5py.File(file, "w") as out:
            out["iter"] = np.array([state.iteration], "<i4")
            out["learned_net"] = np.bytes_(os.fsencode(state.learned_net) + b"\0")
            out["current_step"] = np.array([state.step], "<i4")
            group = out.create_group("history")
            for i, values in enumerate(state.history):
                group[str(i)] = values
        return
    head = Message.of(("iter", state.iteration), ("learned_net", state.learned_net))
    with replacing(path) as out:
        out.write(encode(head, "SolverState"))
        for i, values in enumerate(state.history):
            put_blob(out, Dense(values), _HISTORY, f"history {i}")
        out.write(encode(Message.of(("current_step", state.step)), "SolverState"))


def read_state(path: str | os.PathLike[str]) -> SolverState:
    """A solverstate, in either form. FileError if it is none."""
    return read_hdf5(Path(path)) if is_hdf5(path) else read_binary(Path(path))


def read_binary(path: Path) -> SolverState:
    """The protobuf form. WireError for what is no solverstate."""
    view = mapped(path)
    reader = Reader(view, str(path))
    iteration: int | None = None
    learned, step = "", 0
    history: list[npt.NDArray[np.float32]] = []
    for record in reader.records(0, len(view)):
        match record.number, record.kind:
            case 1, n if n == VARINT:
                iteration = record.value
            case 2, n if n == BYTES:
                learned = os.fsdecode(bytes(view[record.begin : record.end]))
            case 3, n if n == BYTES:
                blob = read_blob(reader, record, f"history {len(history)}")
                history.append(np.array(blob.array(), np.float32))
            case 4, n if n == VARINT:
                step = record.value
    if iteration is None or iteration > _LARGEST or step > _LARGEST:
        raise WireError(f"{path}: is not a solverstate: it has no iteration")
    return SolverState(iteration, learned, tuple(history), step)


def read_hdf5(path: Path) -> SolverState:
    """The HDF5 form. FileError for what is no solverstate."""
    with opened(path) as file:
        try:
            iteration = int(np.asarray(file["iter"]).reshape(-1)[0])
            step = int(np.asarray(file["current_step"]).reshape(-1)[0])
            said: Any = file["learned_net"][()] if "learned_net" in file else b""
            group = file["history"]
            history = tuple(np.asarray(group[str(i)], np.float32) for i in range(len(group)))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise FileError(f"{path}: is not a solverstate: {error}") from None
    learned = said if isinstance(said, str) else os.fsdecode(bytes(said).rstrip(b"\0"))
    return SolverState(iteration, learned, history, step)


def write_weights_hdf5(path: str | os.PathLike[str], net: Net, diffs: Net | None = None) -> None:
    """Weights as Caffe's HDF5 form of a caffemodel: a group for each layer; ``diffs``: their gradients beside them."""
    h5py = import_h5py()
    with replacing(path) as file, h5py.File(file, "w") as out:
        for name, source in (("data", net), ("diff", diffs)):
            if source is None:
                continue
            group = out.create_group(name)
            for layer in source.layers:
                blobs = group.require_group(layer.name)
                for i, tensor in enumerate(layer.tensors):
                    blobs[str(i)] = np.asarray(tensor.array(), np.float32)


def read_weights_hdf5(path: str | os.PathLike[str]) -> dict[str, list[npt.NDArray[np.float32]]]:
    """Weights by layer from Caffe's HDF5 form of a caffemodel. FileError if it is none."""
    found: dict[str, dict[int, npt.NDArray[np.float32]]] = {}
    with opened(Path(path)) as file:
        if "data" not in file:
            raise FileError(f"{path}: holds no weights: it has no group called data")

        def visit(name: str, item: Any) -> None:
            if not hasattr(item, "shape"):
                return
            layer, _, index = name.rpartition("/")
            if not index.isdigit():
                raise FileError(f"{path}: data/{name}: a blob should be called by its number")
            found.setdefault(layer, {})[int(index)] = np.asarray(item, np.float32)

        file["data"].visititems(visit)
    return {layer: [blobs[i] for i in sorted(blobs)] for layer, blobs in found.items()}


def opened(path: Path) -> Any:
    """An HDF5 file for reading. FileError if it is none."""
    h5py = import_h5py()
    try:
        return h5py.File(path, "r")
    except OSError as error:
        reason = "no such file" if not path.exists() else f"is not an HDF5 file that can be read: {error}"
        raise FileError(f"{path}: {reason}") from None


def import_h5py() -> Any:
    """The h5py module. MissingExtraError if it is absent."""
    try:
        import h5py
    except ImportError:
        raise MissingExtraError("h5py", "train", "an HDF5 file") from None
    return h5py
