import pytest

from demitasse.plan.quality import following
from demitasse.plan.quantization import Attempt


@pytest.mark.parametrize(
    ("tried", "slope"),
    [
        ([(0.0, 46.0)], 1.0),
        ([(0.0, 34.0)], -1.0),
        ([(0.0, 46.0), (1.0, 38.0)], 1 - 2 / 6),
        ([(0.0, 40.5), (1.0, 20.0)], 0.5),
    ],
    ids=["too good", "too bad", "between", "what would leave the bracket is halved"],
)
def test_the_next_slope(tried: list[tuple[float, float]], slope: float) -> None:
    assert following([Attempt(at, snr) for at, snr in tried], 40.0) == pytest.approx(slope)
