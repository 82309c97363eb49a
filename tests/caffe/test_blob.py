import numpy as np
import pytest

from caffe.protobufs import fixed32, fixed64, legacy, number, packed, payload, shape, unpacked
from demitasse.caffe.blob import BlobRecord, fits_blob, read_blob
from demitasse.caffe.wire import Reader
from demitasse.errors import WeightsError, WireError

VALUES = np.array([[1.5, -2.0, 0.25], [3.0, 4.0, -0.0]])


def read(data: bytes) -> BlobRecord:
    whole = payload(7, data)
    reader = Reader(memoryview(whole), "x.caffemodel")
    return read_blob(reader, reader.record(0, len(whole)), 'layer "a", blob 0')


flat = VALUES.ravel().tolist()
FORMS = {
    "packed": (packed(5, flat) + shape(2, 3), "float32"),
    "shape first": (shape(2, 3) + packed(5, flat), "float32"),
    "shape unpacked": (payload(7, number(1, 2) + number(1, 3)) + packed(5, flat), "float32"),
    "shape in two parts": (shape(2) + packed(5, flat) + shape(3), "float32"),
    "unpacked": (unpacked(5, flat) + shape(2, 3), "float32"),
    "packed in pieces": (packed(5, flat[:2]) + shape(2, 3) + packed(5, flat[2:]), "float32"),
    "packed and unpacked": (
        packed(5, flat[:2]) + unpacked(5, flat[2:5]) + shape(2, 3) + unpacked(5, flat[5:]),
        "float32",
    ),
    "one apart from the others": (fixed32(5, flat[0]) + shape(2, 3) + unpacked(5, flat[1:]), "float32"),
    "doubles": (shape(2, 3) + packed(8, flat, "<f8"), "float64"),
    "unpacked doubles": (shape(2, 3) + b"".join(fixed64(8, value) for value in flat), "float64"),
    "doubles win over floats": (packed(5, [9] * 6) + shape(2, 3) + packed(8, flat, "<f8"), "float64"),
    "raw halves": (shape(2, 3) + number(10, 2) + packed(12, flat, "<f2"), "float16"),
    "raw floats": (shape(2, 3) + number(10, 1) + packed(12, flat, "<f4"), "float32"),
    "raw doubles": (shape(2, 3) + packed(12, flat, "<f8"), "float64"),
    "raw integers are no weights": (
        packed(5, flat) + shape(2, 3) + number(10, 3) + packed(12, [1, 2], "<i4"),
        "float32",
    ),
    "unknown fields": (payload(99, b"?") + packed(5, flat) + shape(2, 3) + number(10, 1), "float32"),
}


@pytest.mark.parametrize(("data", "dtype"), FORMS.values(), ids=FORMS)
def test_every_form_gives_the_same_numbers(data, dtype):
    blob = read(data)
    values = blob.array()
    assert (blob.shape, blob.legacy, blob.count) == ((2, 3), None, 6)
    assert values.dtype == dtype == blob.dtype
    assert np.array_equal(values, VALUES)
    assert np.signbit(values[1, 2])
    assert values.flags.c_contiguous
    assert not values.flags.writeable


def test_legacy_dimensions():
    blob = read(legacy(1, 1, 2, 3) + packed(5, flat))
    assert (blob.shape, blob.legacy, blob.dims) == (None, (1, 1, 2, 3), (1, 1, 2, 3))
    assert np.array_equal(blob.array((2, 3)), VALUES)


def test_one_legacy_dimension_is_enough_to_be_legacy():
    assert read(number(4, 6) + packed(5, flat) + shape(6)).legacy == (0, 0, 0, 6)


def test_no_axes_hold_one_number():
    blob = read(packed(5, [2]) + payload(7, b""))
    assert (blob.shape, blob.count, blob.array().shape) == ((), 1, ())


def test_gradients_are_not_weights():
    blob = read(packed(5, flat) + packed(6, [7] * 6) + shape(2, 3))
    assert np.array_equal(blob.array(), VALUES)
    assert [(run.nbytes, run.shape) for run in blob.contiguous] == [(24, (2, 3))] * 2


def test_packed_numbers_are_not_copied():
    assert not read(packed(5, flat) + shape(2, 3)).array().flags.owndata


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (packed(5, flat[:5]) + shape(2, 3), r'layer "a", blob 0 has 5 numbers, and its shape \[2, 3\] needs 6'),
        (shape(2, 3), "has 0 numbers"),
        (shape(2**40, 2**40) + packed(5, flat), "more than Caffe can count"),
        (shape(0, 2**62, 2**62), "more than Caffe can count"),
    ],
)
def test_a_wrong_count_is_told(data, said):
    with pytest.raises(WeightsError, match=said):
        read(data).array()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (payload(5, b"12345"), "5 bytes are no whole number of float32"),
        (payload(8, b"12345"), "5 bytes are no whole number of float64"),
        (shape(*[1] * 33), "more than 32 numbers"),
        (payload(7, number(1, 1) * 33), "33 axes"),
        (shape(-1), "negative dimension"),
        (b"\x0a\x7f", "127 bytes"),
    ],
)
def test_a_malformed_blob_is_told_with_its_layer(data, said):
    with pytest.raises(WireError, match=f'x.caffemodel: layer "a", blob 0: .*{said}') as caught:
        read(data)
    assert caught.value.offset is not None


@pytest.mark.parametrize(
    ("data", "fits"),
    [
        (packed(5, flat) + shape(2, 3), True),
        (packed(5, flat) + legacy(1, 1, 2, 3), True),
        (packed(5, flat) + shape(2, 2), False),
        (packed(5, flat), False),
        (b"", False),
        (b"a name", False),
    ],
)
def test_a_blob_is_known_by_its_structure(data, fits):
    whole = payload(30, data)
    reader = Reader(memoryview(whole), "x")
    assert fits_blob(reader, reader.record(0, len(whole))) is fits
