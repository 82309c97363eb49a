"""Picking rows, none among them."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.errors import NetError  # noqa: E402
from runtime.one_layer import run  # noqa: E402


def test_gradients_go_to_the_rows_that_were_picked():
    x = torch.arange(8.0).reshape(4, 2).requires_grad_()
    run("Filter", "", x, np.array([0, 1, 0, -2])).sum().backward()
    assert x.grad[:, 0].tolist() == [0, 1, 0, 1]
    x.grad = None
    run("BatchReindex", "", x, np.array([3, 3, 0])).sum().backward()
    assert x.grad[:, 0].tolist() == [1, 0, 0, 2]


@pytest.mark.parametrize("index", [-1, 4])
def test_an_index_of_no_row_is_refused(index):
    with pytest.raises(NetError, match=r'layer "L" .*"x1" holds an index outside of 0 to 3'):
        run("BatchReindex", "", np.zeros((4, 2)), np.array([0, index]))


@pytest.mark.parametrize("kind", ["Silence", "MatWrite"])
def test_what_only_reads_gives_nothing(kind):
    assert run(kind, "", np.zeros((4, 2)), outputs=0) == ()
