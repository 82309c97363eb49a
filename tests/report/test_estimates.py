import numpy as np
import pytest

from demitasse.evaluate.bootstrap import Estimate
from demitasse.evaluate.classification import Answers
from demitasse.evaluate.figures import Figure, classification_figures
from demitasse.report.estimates import columns, conclusion, rows


def ranked(*ranks: int) -> Answers:
    values = np.array(ranks)
    return Answers(np.zeros_like(values), np.zeros_like(values), values, 10)


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ([0] * 90 + [1] * 10, "no difference on any"),
        ([0] * 50 + [1] * 50, "the second is worse"),
        ([0] * 100, "the second is better"),
        ([0] * 89 + [1] + [0] + [1] * 9, "no loss that these pictures could show"),
    ],
)
def test_what_follows(second, words):
    first = ranked(*([0] * 90 + [1] * 10))
    (top1, _) = classification_figures(first, ranked(*second), number=1000, seed=0)
    assert words in conclusion(top1)
    assert "90.00 %" in rows([top1])[0][1]


def test_as_many_columns_as_cells():
    one = Figure("top-1", Estimate(0.5, 0.4, 0.6))
    two = Figure("top-1", *[Estimate(0.5, 0.4, 0.6)] * 3)
    assert len(columns(1)) == len(rows([one])[0])
    assert len(columns(2)) == len(rows([two])[0])
    assert rows([two])[0][3] == "+50.00 % (+40.00 … +60.00)"


def test_what_is_not_known_is_not_printed():
    unknown = Figure("precision", Estimate(np.nan, np.nan, np.nan))
    assert rows([unknown]) == [["precision", "–"]]
    assert "nothing can be said" in conclusion(unknown)
