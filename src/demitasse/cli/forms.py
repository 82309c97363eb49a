"""The forms that a compressed network is written in: a .demi, plain Caffe files, ONNX. Each is written, read again or
run, and compared; what it is said to load in is what it was loaded in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from demitasse.cli.model import Source, check_output, form
from demitasse.cli.result import result_files, write_and_read
from demitasse.errors import OptionError
from demitasse.evaluate.compare import Shown, Subject, compare_and_keep
from demitasse.evaluate.comparison import Comparison
from demitasse.evaluate.exported import compared, under_its_names
from demitasse.evaluate.runtimes import Execution
from demitasse.evaluate.trial import Trial
from demitasse.evaluate.weights import weight_errors
from demitasse.net import Net
from demitasse.onnx import is_large, selected, to_onnx
from demitasse.runtime.onnxruntime import import_onnxruntime

__all__ = ["Written", "check_form", "onnx_file", "output_files", "write_form"]


@dataclass(frozen=True, slots=True)
class Written:
    """The network as it was written, the bytes of its files, how it compares, what came out, and programs that loaded
    it and gave outputs."""

    net: Net
    nbytes: int
    comparison: Comparison
    trial: Trial | None
    loads: tuple[str, ...]


def onnx_file(output: str) -> Path | None:
    """The file, if it is ONNX that is asked for."""
    return Path(output) if Path(output).suffix.lower() == ".onnx" and not Path(output).is_dir() else None


def check_form(output: str, given: Source, *, half: bool, run: bool) -> None:
    """Before anything is done: OptionError or FileError for what could not be written, MissingExtraError for ONNX
    without what runs it."""
    if (target := onnx_file(output)) is not None:
        if run:
            import_onnxruntime("comparing what was exported (--no-run leaves that out)")
        check_output([target], given)
        return
    if half and form(output) == "demi":
        raise OptionError("--half is for plain Caffe files and ONNX: the weights of a .demi are smaller than float16")
    check_output(result_files(output, given), given)


def output_files(output: str, given: Source, net: Net, *, half: bool) -> list[Path]:
    """The files to write."""
    target = onnx_file(output)
    if target is None:
        return result_files(output, given)
    return [target, data_of(target)] if is_large(selected(net, ()).net, half) else [target]


def data_of(target: Path) -> Path:
    """Where the weights of a large ONNX model are."""
    return target.with_name(target.name + ".data")


def write_form(
    net: Net,
    before: Net,
    original: Subject,
    paths: Sequence[Path],
    output: str,
    shown: Shown | None,
    options: dict[str, Any],
) -> Written:
    """Write a network, and compare. ``before``: what its weights are compared with; ``original``: what outputs are.
    ``shown`` None: outputs are not compared. ``options``: ``half`` and ``threads``. VerificationError as in `compare`.
    """
    if (target := onnx_file(output)) is not None:
        return write_onnx(net, original, paths, target, shown, **options)
    read = write_and_read(net, paths, output)
    found, trial = compare_and_keep(original, read, shown, Execution(options["threads"]), strict=True)
    weights, unmatched = weight_errors(before, read.net)
    found = replace(found, weights=weights, unmatched=unmatched)
    opencv = "OpenCV 4" + (" through demitasse.to_opencv()" if len(paths) == 1 else "")
    loads = ("demitasse", *([opencv] if found.runtime.startswith("OpenCV") else []))
    return Written(read.net, paths[-1].stat().st_size, found, trial, loads)


def write_onnx(
    net: Net, original: Subject, paths: Sequence[Path], target: Path, shown: Shown | None, half: bool, threads: int
) -> Written:
    """As ONNX."""
    data = data_of(target)
    done = to_onnx(net, paths[0], half=half, data=paths[-1] if len(paths) > 1 else None, location=data.name)
    nbytes = sum(path.stat().st_size for path in paths)
    if shown is None:
        return Written(net, nbytes, Comparison((), (), skipped="not asked for"), None, ())
    with under_its_names(done, target, data) as named:
        found = compared(original, named, (), shown, threads=threads)
    return Written(net, nbytes, found, None, () if found.skipped else ("ONNX Runtime",))
