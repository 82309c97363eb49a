"""What quantised networks take as ONNX: bytes of the file over those of the same network with plain weights.

    python benchmarks/onnx_quantised.py

Each network is compressed at the default quality and exported from the .demi, as it is and with ``--exact``. The error
is ONNX Runtime's at the outputs, beside the .demi itself in OpenCV, on the zoo's photos.
"""

from __future__ import annotations

import io
import json
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from corpus import ZOO, Model, nsfw, res10
from demitasse.cli import main as demitasse
from table import publish


def said(*arguments: object) -> dict[str, Any]:
    out = io.StringIO()
    with redirect_stdout(out):
        status = demitasse([*map(str, arguments), "--json"])
    if status:
        raise SystemExit(status)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def rows(model: Model, folder: Path) -> list[dict[str, Any]]:
    demi, target = folder / "x.demi", folder / "x.onnx"
    plain = said("export", model.deploy, model.weights, "-o", target, "--no-run")["output"]["bytes"]
    said("compress", model.deploy, model.weights, "-o", demi, "--no-run")
    found = []
    for more in ((), ("--exact",)):
        one = said("export", demi, "-o", target, "--images", ZOO / "data" / "faces", *more)
        found.append(
            {
                "network": " ".join((model.name, *more)),
                ".demi": demi.stat().st_size,
                "ONNX, float32": plain,
                "ONNX": one["output"]["bytes"],
                "over float32": one["output"]["bytes"] / plain,
                "dB at the outputs": one["comparison"]["snr_db"],
            }
        )
    return found


def main() -> None:
    name = "squeezenet_deep_compression"
    squeezenet = Model(name, ZOO / "models" / name / "deploy.prototxt", ZOO / "models" / name / f"{name}.caffemodel")
    table: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for model in (res10(), nsfw(), squeezenet):
            table += rows(model, Path(folder))
    publish("onnx_quantised", "Quantised networks as ONNX", table, {})


if __name__ == "__main__":
    main()
