"""Runs in the peers' own environment: requests as lines of JSON on stdin, answers as lines of JSON on stdout.

Arrays travel in .npz files that the request names. ``peers.py`` is the other end.
"""

import contextlib
import io
import json
import sys
import time
from pathlib import Path

import numpy as np


def nncodec(request):
    """All tensors of a file in one bitstream; ``steps``: one for each, or one number for all."""
    from nncodec.nnc import compression, decompress
    from nncodec.nnc_core.common import compute_qp_offset_to_dq_equivalent, get_qp_from_stepsize

    weights = dict(np.load(request["weights"]))
    density = 4  # sixteen steps to an octave
    offset = compute_qp_offset_to_dq_equivalent(density)

    def qp(step):
        return int(np.round(get_qp_from_stepsize(step, density))) - offset

    steps = request["steps"]
    chosen = {name: np.int32(qp(steps[name] if isinstance(steps, dict) else steps)) for name in weights}
    folder = request["folder"]
    start = time.perf_counter()
    bitstream = compression.compress(
        {name: np.ascontiguousarray(w) for name, w in weights.items()},
        bitstream_path=f"{folder}/stream.nnc",
        qp=next(iter(chosen.values())),
        qp_density=density,
        nonweight_qp=-75 * 4,
        qp_per_tensor=chosen,
        use_dq=True,
        param_opt=True,
        row_skipping=True,
        lambda_scale=request["lambda_scale"],
        return_bitstream=True,
        verbose=False,
    )
    encoded = time.perf_counter()
    decoded = decompress(bitstream, verbose=False)
    done = time.perf_counter()
    np.savez(request["decoded"], **{name: np.asarray(decoded[name], np.float32) for name in weights})
    return {"bytes": len(bitstream), "encode": encoded - start, "decode": done - encoded}


def zipnn(request):
    """A file through ZipNN and back."""
    from zipnn import ZipNN

    raw = Path(request["file"]).read_bytes()
    coder = ZipNN(bytearray_dtype=request["dtype"], threads=1)
    start = time.perf_counter()
    packed = coder.compress(bytearray(raw))
    encoded = time.perf_counter()
    restored = coder.decompress(packed)
    done = time.perf_counter()
    return {
        "bytes": len(packed),
        "same": bytes(restored) == raw,
        "encode": encoded - start,
        "decode": done - encoded,
    }


def main():
    for line in sys.stdin:
        request = json.loads(line)
        chatter = io.StringIO()
        try:
            with contextlib.redirect_stdout(chatter):
                answer = {"nncodec": nncodec, "zipnn": zipnn}[request["peer"]](request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print("ANSWER " + json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
