"""State between passes of recurrent layers; the rest is in the reference data."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.errors import NetError  # noqa: E402
from demitasse.layers import build  # noqa: E402
from demitasse.net import Dense, Net  # noqa: E402
from demitasse.runtime.network import Network  # noqa: E402
from layers.reference import network  # noqa: E402
from runtime.one_layer import run  # noqa: E402

RS = np.random.RandomState(9)
TEXT = """layer { name: "x" type: "Input" top: "x" top: "c"
input_param { shape { dim: [3, 2, 4] } shape { dim: [3, 2] } } }
layer { name: "L" type: "KIND" bottom: "x" bottom: "c" top: "y" recurrent_param { num_output: 3 } }"""
WEIGHTS = {"LSTM": [(12, 4), (12,), (12, 3)], "RNN": [(3, 4), (3,), (3, 3), (3, 3), (3,)]}


def recurrent(kind: str) -> Network:
    """A network of one recurrent layer."""
    source, layer = network(TEXT.replace("KIND", kind)).layers
    rs = np.random.RandomState(1)
    blobs = [Dense(rs.standard_normal(shape).astype(np.float32)) for shape in WEIGHTS[kind]]
    return Network(build(Net("test", (source, layer.with_tensors(blobs)))))


@pytest.mark.parametrize("kind", WEIGHTS)
def test_two_halves_are_the_whole(kind):
    """A sequence cut in two goes on where it stopped, if its flags say so."""
    x, flags = RS.standard_normal((6, 2, 4)), np.ones((6, 2))
    flags[0] = flags[4, 1] = 0
    with torch.no_grad():
        whole = recurrent(kind)({"x": x, "c": flags})["y"]
        halves = recurrent(kind)
        parts = [halves({"x": x[i : i + 3], "c": flags[i : i + 3]})["y"] for i in (0, 3)]
        torch.testing.assert_close(torch.cat(parts), whole)
        again = halves({"x": x[:3], "c": np.ones((3, 2))})["y"]
        assert not torch.allclose(again, parts[0])
        halves.reset()
        torch.testing.assert_close(halves({"x": x[:3], "c": np.ones((3, 2))})["y"], parts[0])


@pytest.mark.parametrize("kind", WEIGHTS)
def test_another_number_of_streams_begins_anew(kind):
    running = recurrent(kind)
    with torch.no_grad():
        running({"x": RS.standard_normal((3, 2, 4)), "c": np.ones((3, 2))})
        x = RS.standard_normal((3, 5, 4))
        found = running({"x": x, "c": np.ones((3, 5))})["y"]
        torch.testing.assert_close(found, recurrent(kind)({"x": x, "c": np.ones((3, 5))})["y"])


def test_options_of_another_fork_are_refused():
    text = 'recurrent_param { num_output: 3 direction: "reverse" }'
    with pytest.raises(NetError, match=r'layer "L" .*direction'):
        run("LSTM", text, np.zeros((3, 2, 4)), np.ones((3, 2)), weights=[np.zeros(shape) for shape in WEIGHTS["LSTM"]])
