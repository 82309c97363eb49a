import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe.protobufs import fixed32, fixed64, number, payload, unpacked, varint
from demitasse.caffe.wire import BYTES, FIXED32, FIXED64, VARINT, Reader
from demitasse.errors import WireError


def reader(data: bytes, budget: int = 1 << 20) -> Reader:
    return Reader(memoryview(data), "x.caffemodel", budget)


def everything(data: bytes) -> list:
    return list(reader(data).records(0, len(data)))


@given(st.integers(0, 2**64 - 1))
def test_varints_come_back(value):
    data = b"--" + varint(value) + b"--"
    assert reader(data).varint(2, len(data)) == (value, len(data) - 2)


fields = st.one_of(
    st.tuples(st.just(VARINT), st.integers(1, 2**29 - 1), st.integers(0, 2**64 - 1)),
    st.tuples(st.just(BYTES), st.integers(1, 2**29 - 1), st.binary(max_size=200)),
    st.tuples(st.just(FIXED32), st.integers(1, 2**29 - 1), st.floats(width=32, allow_nan=False)),
    st.tuples(st.just(FIXED64), st.integers(1, 2**29 - 1), st.floats(allow_nan=False)),
)
WRITE = {VARINT: number, BYTES: payload, FIXED32: fixed32, FIXED64: fixed64}


@given(st.lists(fields, max_size=20))
def test_records_are_where_they_were_written(written):
    data = b"".join(WRITE[kind](number, value) for kind, number, value in written)
    found = []
    for record in everything(data):
        for i in range(record.repeats):
            stride = (record.end - record.tag) // record.repeats
            part = data[record.begin + i * stride : record.tag + (i + 1) * stride]
            if record.kind == VARINT:
                value = record.value
            elif record.kind == BYTES:
                value = part
            else:
                (value,) = struct.unpack("<f" if record.kind == FIXED32 else "<d", part)
            found.append((record.kind, record.number, value))
    assert found == written


@pytest.mark.parametrize("count", [1, 2, 3, 16, 17, 1000, 200_000])
def test_a_run_of_unpacked_numbers_is_one_record(count):
    data = number(1, 7) + unpacked(5, [0.5]) * count + fixed64(6, 1)
    records = everything(data)
    assert [(r.number, r.repeats) for r in records] == [(1, 1), (5, count), (6, 1)]
    assert records[1].end - records[1].tag == 5 * count


MALFORMED = {
    "a number without an end": (b"\x08\xff", "ends within a number", 2),
    "a number of eleven bytes": (b"\x08" + b"\xff" * 11, "more than ten bytes", 1),
    "a payload that is not there": (b"\x0a\x05ab", "should have 5 bytes, and 2 are left", 0),
    "a payload of 2^60 bytes": (b"\x08\x01\x0a" + varint(1 << 60), "1 152 921 504 606 846 976 bytes", 2),
    "half a float": (b"\x2d\x00\x00", "cut short", 0),
    "half a double": (b"\x29" + b"\0" * 7, "cut short", 0),
    "field number 0": (b"\x00\x01", "field number 0", 0),
    "a field number beyond 2^29": (varint(1 << 32) + b"\0", "does not exist", 0),
    "a group": (b"\x0b\x0c", "a group", 0),
    "the end of a group": (b"\x0c", "the end of a group", 0),
    "wire type 6": (b"\x0e", "wire type 6", 0),
    "wire type 7": (b"\x0f", "wire type 7", 0),
}


@pytest.mark.parametrize(("data", "said", "offset"), MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_is_told_with_its_place(data, said, offset):
    with pytest.raises(WireError, match="x.caffemodel: .*" + said.replace("^", r"\^")) as caught:
        everything(data)
    assert caught.value.offset == offset


def test_a_cut_payload_can_be_asked_for():
    data = number(1, 1) + payload(2, b"abcdef")[:-2]
    *_, last = reader(data).records(0, len(data), partial=True)
    assert last.cut
    assert (last.number, last.end, last.stop) == (2, len(data), len(data) + 2)


def test_records_are_bounded():
    data = number(1, 1) * 100
    assert len(list(reader(data, budget=100).records(0, len(data)))) == 100
    with pytest.raises(WireError, match="more fields than any network has"):
        list(reader(data, budget=99).records(0, len(data)))


def test_packed_numbers_are_bounded():
    assert reader(b"\x01\x02").varints(0, 2, 2) == (1, 2)
    with pytest.raises(WireError, match="more than 1 numbers"):
        reader(b"\x01\x02").varints(0, 2, 1)


def outcome(data: bytes) -> list | WireError:
    try:
        return everything(data)
    except WireError as error:
        return error


@given(st.binary(max_size=60))
def test_any_bytes_give_records_or_an_error(data):
    found = outcome(data)
    if isinstance(found, WireError):
        assert found.offset is not None
        assert 0 <= found.offset <= len(data)
    else:
        assert sum(record.end - record.tag for record in found) == len(data)
