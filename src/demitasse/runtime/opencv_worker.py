"""The other process of `demitasse.runtime.opencv.run_files`: reads a job from a folder, leaves the outputs there.

Run as ``python -m demitasse.runtime.opencv_worker FOLDER``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from demitasse.runtime.opencv import first_line, import_opencv

__all__ = ["main"]


def main(folder: Path) -> int:
    """Run the job in ``folder``. Exit status 1, and the reason in the file ``error``, if OpenCV refuses it."""
    cv2 = import_opencv("running a network")
    job = json.loads((folder / "job.json").read_text())
    if job["threads"]:
        cv2.setNumThreads(job["threads"])
    stage = "read"
    try:
        net = cv2.dnn.readNetFromCaffe(job["prototxt"], job["caffemodel"])
        stage = "run"
        known = set(net.getLayerNames())
        names = [name for name in job["outputs"] if name in known] or list(net.getUnconnectedOutLayersNames())
        for i, inputs in enumerate(job["inputs"]):
            for j, name in enumerate(inputs):
                net.setInput(np.load(folder / f"input-{i}-{j}.npy"), name)
            for j, values in enumerate(forward(net, names)):
                np.save(folder / f"output-{i}-{j}.npy", np.asarray(values, np.float32))
    except cv2.error as error:
        reason = first_line(error.err)
        stage = "build" if "create layer" in reason else stage
        (folder / "error").write_text(f"{stage}\nOpenCV {cv2.__version__} cannot {stage} this network: {reason}")
        return 1
    (folder / "names.json").write_text(json.dumps(names))
    return 0


def forward(net: Any, names: list[str]) -> list[Any]:
    """The named layers' first outputs."""
    return [values[0] if isinstance(values, (list, tuple)) else values for values in net.forward(names)]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
