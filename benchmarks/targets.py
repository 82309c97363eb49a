"""Every kind of target on real models: what was asked for, and what was had, or the best that could be reached.

Each row is one run of ``demitasse compress`` in a process of its own. Photographs, with --photos, take the place of
generated pictures.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from corpus import Model, corpus
from measuring import command
from table import publish

MODELS = (
    "res10",
    "nsfw",
    "squeezenet_deep_compression",
    "ultralight_face_rfb320",
    "mtcnn_det2",
    "mtcnn_det3",
    "resnet20_cifar10",
)

TARGETS = (
    ("--ratio", "8"),
    ("--ratio", "20"),
    ("--target-size", "{tenth}"),
    ("--max-drop", "2%"),
    ("--speedup", "1.5"),
)


def tried(model: Model, option: str, value: str, photos: Path | None) -> dict[str, Any]:
    """One target for one model."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "x.demi"
        value = value.format(tenth=model.size // 10)
        shown = ["--images", photos] if photos is not None else []
        options = [option, value, "-o", output, "--json", *shown]
        run = command("compress", model.deploy, model.weights, *options, check=False)
        found = json.loads(run.output[run.output.index("{") : run.output.rindex("}") + 1])
    row = {
        "model": model.name,
        "target": f"{option} {value}",
        "status": run.status,
        "bytes": 0,
        "SNR, dB": float("nan"),
    }
    if run.status == 2:
        return row | {"had": found["error"], "seconds": run.seconds}
    before, after = found["input"], found["output"]
    had = {
        "--ratio": f"{before['file_bytes'] / after['file_bytes']:.2f}",
        "--target-size": f"{after['file_bytes'] / (model.size // 10):.4f} of it",
        "--max-drop": f"{100 * (found['plan']['held_out'] or {}).get('share', float('nan')):.2f} % held out",
        "--speedup": f"{before['macs'] / after['macs']:.3f}" if before["macs"] and after["macs"] else "?",
    }[option]
    snr = found["comparison"]["snr_db"]
    return row | {"bytes": after["file_bytes"], "SNR, dB": snr or float("nan"), "had": had, "seconds": run.seconds}


def met(row: dict[str, Any]) -> bool:
    """Whether the target is met within 1 %, or refused with what can be reached."""
    option, value = str(row["target"]).split()
    had = str(row["had"])
    if row["status"] == 2:
        return "cannot be" in had
    number = float(had.split()[0])
    if option == "--ratio":
        return float(value) <= number <= float(value) / 0.99
    if option == "--target-size":
        return 0.99 <= number <= 1
    return number <= float(value.rstrip("%")) if option == "--max-drop" else number >= float(value)


def main() -> None:
    """Print and publish the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--photos", type=Path)
    options = parser.parse_args()
    rows = []
    for model in corpus():
        if model.name in options.models:
            for option, value in TARGETS:
                rows.append(tried(model, option, value, options.photos))
                rows[-1]["met"] = "yes" if met(rows[-1]) else "NO"
                print(rows[-1], flush=True)
    summary = {
        "targets": len(rows),
        "met": sum(row["met"] == "yes" and row["status"] != 2 for row in rows),
        "refused": sum(row["met"] == "yes" and row["status"] == 2 for row in rows),
        "missed": sum(row["met"] == "NO" for row in rows),
    }
    publish("targets", "Targets, and what was had", rows, summary)


if __name__ == "__main__":
    main()
