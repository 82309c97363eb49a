import contextlib
import hashlib
import lzma
import time
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demitasse import _core
from demitasse.codec import text
from demitasse.errors import ContainerError

LAYER = b"""layer {
  name: "conv%d"
  type: "Convolution"
  bottom: "conv%d"
  top: "conv%d"
  convolution_param { num_output: %d kernel_size: 3 pad: 1 }
}
"""


def network(layers: int) -> bytes:
    return b'name: "n"\ninput: "data"\n' + b"".join(LAYER % (i, i - 1, i, 8 << i % 5) for i in range(1, layers + 1))


@given(st.binary(max_size=2000))
@settings(max_examples=50, deadline=None)
def test_any_bytes_come_back(data: bytes) -> None:
    assert text.decode(text.encode(data), len(data)) == data


@pytest.mark.parametrize("data", [b"", b"\0", b"\xff" * 3000, bytes(range(256)) * 4, network(3), network(2000)])
def test_texts_come_back(data: bytes) -> None:
    assert text.decode(text.encode(data), len(data)) == data


@given(st.binary(max_size=200), st.integers(0, 3000))
@settings(max_examples=100, deadline=None)
def test_foreign_bytes_are_a_text_or_an_error(data: bytes, size: int) -> None:
    with contextlib.suppress(ContainerError):
        assert len(text.decode(data, size)) == size


def test_a_cut_text_is_an_error_or_another_text() -> None:
    whole = network(20)
    packed = text.encode(whole)
    for size in range(len(packed)):
        with contextlib.suppress(ContainerError):
            assert text.decode(packed[:size], len(whole)) != whole


def test_a_promise_of_too_much_text_is_refused_unread() -> None:
    with pytest.raises(ContainerError, match="cannot hold"):
        text.decode(b"abc", 1 << 40)


def test_nothing_shrinks_beyond_the_ratio_that_readers_allow() -> None:
    zeros = bytes(1 << 20)
    assert len(zeros) <= text.RATIO * len(text.encode(zeros))


def test_much_smaller_than_general_coders() -> None:
    for layers in (5, 50):
        plain = network(layers)
        assert 2 * len(text.encode(plain)) < min(len(lzma.compress(plain)), len(zlib.compress(plain, 9)))


@pytest.mark.zoo
def test_real_prototxts_are_less_than_half_of_xz(zoo) -> None:
    raw = ours = theirs = 0
    for path in sorted(zoo.glob("models/*/deploy.prototxt")):
        plain = path.read_bytes()
        packed = text.encode(plain)
        assert text.decode(packed, len(plain)) == plain
        raw, ours = raw + len(plain), ours + len(packed)
        theirs += len(lzma.compress(plain, lzma.FORMAT_ALONE, preset=9 | lzma.PRESET_EXTREME))
    assert ours < theirs / 2
    assert ours < raw / 30


def test_a_megabyte_takes_seconds_at_most() -> None:
    plain = network(7000)[: 1 << 20]
    start = time.process_time()
    text.encode(plain)
    assert time.process_time() - start < 6  # 2 where nothing else runs


def test_the_format_has_not_changed() -> None:
    assert hashlib.sha256(_core.priming_text()).hexdigest() == PRIMING
    assert hashlib.sha256(text.encode(network(40))).hexdigest() == CODED
    assert hashlib.sha256(text.encode(network(1500))).hexdigest() == CODED_LARGE


PRIMING = "dd6fbeb36d8948e85155053c4a216912b446b7c63cde45134a9f6d3a245544f1"
CODED = "69b23e5474196e91bad71463a921b1b5c5e7945e39875215c42f3125885ff478"
CODED_LARGE = "c3daa19016b573917b9debb325eb5206bb2c33bde41bff96fc305e6adba64d64"
