"""Operations make their tensors where their inputs are.

There is no second device in most places where this runs. ``meta`` is one that computes nothing: whatever a layer makes
on the processor and mixes with its inputs is an error there, and what comes out must be there, too. Where a layer looks
at values, it sees zeros.
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from conftest import SHARED  # noqa: E402
from demitasse.caffe.read import parse_net  # noqa: E402
from demitasse.cli import main  # noqa: E402
from demitasse.layers import build  # noqa: E402
from demitasse.runtime.network import Network  # noqa: E402
from reference import LayerCase, layer_cases, numbered, with_weights  # noqa: E402

GOLDEN = SHARED / "golden"

ON_THE_PROCESSOR = {
    "BatchReindex",
    "DetectionEvaluate",
    "DetectionOutput",
    "DummyData",
    "Filter",
    "MultiBoxLoss",
    "Proposal",
    "ROIPooling",
}
"""Types that draw or choose by values, in NumPy or by shapes that depend on them; results go back to the device."""

CASES = [
    case
    for case in (layer_cases(GOLDEN) if GOLDEN.is_dir() else [])
    if not case.record.get("rejected")
    and case.record["layer_type"] not in ON_THE_PROCESSOR
    and str(case) != "Accuracy-per_class-bvlc"  # chooses labels by their values
]


class Anywhere(torch.Generator):
    """Random numbers of the processor, for any device: ``meta`` has none."""

    def __new__(cls, device: object = None) -> Anywhere:
        return super().__new__(cls)


@pytest.fixture
def meta(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device that computes nothing."""
    monkeypatch.setattr(torch, "Generator", Anywhere)
    for name, zero in (("item", 0), ("__int__", 0), ("__float__", 0.0), ("__bool__", False)):
        plain = getattr(torch.Tensor, name)

        def seen(self, plain=plain, zero=zero):
            return zero if self.is_meta else plain(self)

        monkeypatch.setattr(torch.Tensor, name, seen)


@pytest.mark.zoo
@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_is_made_on_another_device(case: LayerCase, meta):
    record = case.record
    net = with_weights(parse_net(record["prototxt"].encode()), {"L": numbered(case.part("param"))})
    network = Network(build(net, record["phase"]), device="meta", writable=True)
    fed = case.part("in") or (case.part("out") if record["layer_type"] == "Input" else {})
    inputs = {name: torch.from_numpy(values.copy()).to("meta") for name, values in fed.items()}
    for name in case.part("bottom_diff"):
        inputs[name].requires_grad_()
    outputs = network(inputs, record["tops"])
    assert {value.device.type for value in outputs.values()} <= {"meta"}
    ends = [value.sum() for value in outputs.values() if value.requires_grad]
    if ends and inputs:
        sum(ends).backward()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a graphics card")
@pytest.mark.parametrize(
    ("device", "said"), [("cuda", "finds no CUDA"), ("cuda:1", "finds no CUDA"), ("gpu", 'no device "gpu"')]
)
def test_a_device_that_is_not_there_is_one_line(device, said, tmp_path, capsys):
    (tmp_path / "a.demi").write_bytes(b"\x89DEMI\r\n")
    assert main(["compare", str(tmp_path / "a.demi"), str(tmp_path / "a.demi"), "--device", device]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error
