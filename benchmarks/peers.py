"""The peers, run in an environment of their own (``build/benchmarks/peers``), made when it is first needed.

NNCodec 2.1.3 (DeepCABAC, ISO/IEC 15938-17) with dependent quantisation, parameter optimisation and row skipping;
ZipNN. NNCodec imports torchvision and does not use it to code tensors: a stub of that name takes its place.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from corpus import CACHE

HERE = Path(__file__).resolve().parent
ENVIRONMENT = CACHE / "peers"
REQUIREMENTS = (
    ["torch==2.13.0"],
    ["numpy<2", "h5py", "pandas", "ptflops", "scikit-learn", "torchmetrics", "tqdm", "opencv-python-headless<4.12"],
    ["pybind11", "setuptools<81", "wheel"],
    ["--no-deps", "--no-build-isolation", "nncodec==2.1.3"],
    ["--no-deps", "zipnn==0.5.4"],
    ["zstandard", "lz4", "xxhash", "psutil", "safetensors"],
)
RDO = 1.0
"""NNCodec's ``lambda_scale``: rate-distortion optimisation in its trellis."""

Weights = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Coded:
    """``bytes`` of a bitstream, what it decodes to, and the seconds that coding and decoding took."""

    bytes: int
    decoded: dict[str, npt.NDArray[np.float32]]
    encode: float
    decode: float


def nncodec(weights: Weights, steps: float | Mapping[str, float], rdo: float = RDO) -> Coded:
    """``steps``: of the quantiser, for all tensors or by name, rounded to a sixteenth of an octave."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "weights.npz", **weights)
        answer = ask(
            peer="nncodec",
            weights=f"{folder}/weights.npz",
            decoded=f"{folder}/decoded.npz",
            folder=folder,
            lambda_scale=rdo,
            steps=steps if isinstance(steps, float) else dict(steps),
        )
        decoded = dict(np.load(Path(folder) / "decoded.npz"))
    return Coded(answer["bytes"], decoded, answer["encode"], answer["decode"])


def zipnn(file: Path) -> tuple[int, float]:
    """Bytes of a float32 file, and seconds to decode them."""
    answer = ask(peer="zipnn", file=str(file), dtype="float32")
    if not answer["same"]:
        raise SystemExit(f"ZipNN does not give {file} back")
    return answer["bytes"], answer["decode"]


def ask(**request: Any) -> dict[str, Any]:
    process = worker()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    for line in process.stdout:
        if line.startswith("ANSWER "):
            answer: dict[str, Any] = json.loads(line.removeprefix("ANSWER "))
            if "error" in answer:
                raise SystemExit(f"{request['peer']}: {answer['error']}")
            return answer
    raise SystemExit(f"{request['peer']} died")


@cache
def worker() -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(HERE / "peer_stubs")}
    process = subprocess.Popen(
        [prepared() / "bin" / "python", HERE / "peer_worker.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )
    atexit.register(process.kill)
    return process


def prepared() -> Path:
    """The environment, built on first use."""
    done = ENVIRONMENT / "complete"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True)
        for requirement in REQUIREMENTS:
            subprocess.run([ENVIRONMENT / "bin" / "pip", "install", "-q", *requirement], check=True)
        done.touch()
    return ENVIRONMENT
