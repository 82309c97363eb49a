import json

import pytest

torch = pytest.importorskip("torch")

from demitasse.caffe.text import parse  # noqa: E402
from demitasse.errors import NetError  # noqa: E402
from demitasse.message import Message  # noqa: E402
from demitasse.runtime.fillers import fill  # noqa: E402


def cases(golden):
    return json.loads((golden / "fillers/fillers.json").read_text())


@pytest.mark.zoo
def test_values_are_distributed_as_caffes_are(golden):
    for case in cases(golden)["fillers"]:
        filler = parse(case["filler_param"].encode(), case["filler"])
        for part in ("weight", "bias"):
            for expected in case.get(part) or []:
                values = fill(filler, tuple(expected["shape"]), torch.Generator().manual_seed(1)).double()
                count = values.numel()
                spread = expected["std"] or 1e-6
                where = (case["filler"], case["layer"], part, expected)
                assert abs(float(values.mean()) - expected["mean"]) < 8 * spread / count**0.5 + 1e-7, where
                if count > 10000:
                    assert abs(float(values.std(unbiased=False)) - expected["std"]) < 0.03 * spread, where
                    zeros = float((values == 0).double().mean())
                    assert abs(zeros - expected["zero_fraction"]) < 0.01, where
                    # The largest of many normal numbers lies somewhere between four and five deviations.
                    tail = (1.2 if "gaussian" in case["filler"] or "msra" in case["filler"] else 0.3) * (
                        filler.number("std", spread)
                    )
                    assert float(values.min()) == pytest.approx(expected["min"], abs=tail), where
                    assert float(values.max()) == pytest.approx(expected["max"], abs=tail), where


@pytest.mark.zoo
def test_bilinear_kernels_are_caffes(golden):
    for name, expected in cases(golden)["bilinear"].items():
        size = int(name[1:])
        shape = (2, 1, size, size)
        values = fill(Message.of(("type", "bilinear")), shape, torch.Generator())
        torch.testing.assert_close(values[1, 0], torch.tensor(expected).reshape(size, size), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("filler", "shape", "said"),
    [
        (Message.of(("type", "gausian")), (2, 2), "'gausian' is not known"),
        (Message.of(("type", "bilinear")), (2, 2, 3, 4), "square"),
        (Message.of(("type", "xavier"), ("sparse", 3)), (2, 2), "no sparse"),
        (Message.of(("type", "msra"), ("variance_norm", "FAN")), (2, 2), "variance_norm"),
    ],
)
def test_fillers_that_make_no_sense_are_refused(filler, shape, said):
    with pytest.raises(NetError, match=said):
        fill(filler, shape, torch.Generator())
