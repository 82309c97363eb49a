import contextlib
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe.protobufs import (
    blob,
    layer,
    legacy,
    number,
    packed,
    payload,
    shape,
    unpacked,
    v0_layer,
    v1_layer,
    varint,
)
from demitasse.caffe.model import Caffemodel
from demitasse.errors import DemitasseError, FileError, WireError

WEIGHTS = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)
BIAS = np.array([7, 8], np.float32)
PAIR = blob(WEIGHTS), blob(BIAS)
MARCH = payload(4, payload(1, "conv") + number(2, 4) + b"".join(payload(5, data) for data in PAIR))
OTHER_NET_FIELD = payload(120, payload(1, "conv") + payload(2, "Convolution") + b"".join(payload(7, b) for b in PAIR))
OTHER_BLOB_FIELD = payload(
    100, payload(1, "conv") + payload(2, "Convolution") + b"".join(payload(33, data) for data in PAIR)
)
TAKEN_BLOB_FIELD = payload(
    100, payload(1, "conv") + payload(7, number(1, 5)) + b"".join(payload(33, data) for data in PAIR) + payload(8, "x")
)
OTHER_NAME_FIELD = payload(100, payload(3, "conv") + number(1, 4) + b"".join(payload(9, data) for data in PAIR))

GENERATIONS = {
    "V2": (layer("conv", "Convolution", *PAIR), "V2"),
    "V2, blobs before the name": (payload(100, payload(7, PAIR[0]) + payload(7, PAIR[1]) + payload(1, "conv")), "V2"),
    "V1": (v1_layer("conv", 4, *PAIR), "V1"),
    "V0": (v0_layer("conv", "conv", *PAIR), "V0"),
    "March 2014": (MARCH, "V1 of March 2014"),
    "layers at an unknown number": (OTHER_NET_FIELD, "V2"),
    "blobs at an unknown number": (OTHER_BLOB_FIELD, "V2"),
    "something else where blobs should be": (TAKEN_BLOB_FIELD, "V2"),
    "nothing where it should be": (OTHER_NAME_FIELD, "V2"),
}


@pytest.mark.parametrize(("data", "version"), GENERATIONS.values(), ids=GENERATIONS)
def test_every_generation_yields_its_weights_by_name(data, version):
    model = Caffemodel.parse(payload(1, "net") + data)
    (only,) = model.layers
    assert (model.name, model.version, only.name) == ("net", version, "conv")
    assert [found.array().tolist() for found in only.blobs] == [WEIGHTS.tolist(), BIAS.tolist()]


def test_a_v2_layer_needs_no_name():
    (only,) = Caffemodel.parse(payload(100, payload(2, "Data") + payload(4, "data"))).layers
    assert (only.name, only.type, only.tops) == ("", "Data", ("data",))


def test_inputs_of_the_net_are_no_layers():
    data = payload(1, "net") + payload(3, "data") + number(4, 1) * 4 + v1_layer("conv", 4, *PAIR)
    assert [found.name for found in Caffemodel.parse(data).layers] == ["conv"]


CUTS = {
    "within packed floats": (
        payload(1, "n") + layer("first", "ReLU") + layer("conv4_3", "Convolution", packed(5, [1] * 1000) + shape(1000)),
        -1500,
        r'layer "conv4_3", blob 0 ends after 6\d\d of 1 000 floats \(byte \d [0-9]{3}\): the file is truncated',
    ),
    "within the second blob": (
        layer("ip", "InnerProduct", blob(BIAS), shape(500) + packed(8, [1] * 500, "<f8")),
        -800,
        r'layer "ip", blob 1 ends after 400 of 500 doubles \(byte 3 ...\): the file is truncated',
    ),
    "within unpacked floats": (
        layer("ip", "InnerProduct", unpacked(5, [1] * 10)),
        -20,
        r'layer "ip", blob 0 ends after 30 of 50 bytes',
    ),
    "within V1": (v1_layer("ip", 14)[:2] + payload(4, "ip") + payload(6, packed(5, [1] * 9)), -4, None),
    "within a layer without weights": (
        layer("relu", "ReLU", extra=payload(3, "x" * 50)),
        -10,
        'layer "relu" ends early',
    ),
    "within something else": (payload(55, b"x" * 50), -10, "field 55 ends early .*10 bytes are missing"),
}


@pytest.mark.parametrize(("data", "stop", "said"), CUTS.values(), ids=CUTS)
def test_a_truncated_file_says_where_it_ends(data, stop, said):
    with pytest.raises(WireError, match=said) as caught:
        Caffemodel.parse(data[:stop], "cut.caffemodel")
    assert str(caught.value).startswith("cut.caffemodel: ")
    if said:
        assert caught.value.offset == len(data) + stop


WHOLE = (
    payload(1, "net")
    + layer("conv", "Convolution", *PAIR, extra=payload(6, number(1, 0)))
    + layer("old", "InnerProduct", legacy(1, 1, 2, 3) + unpacked(5, range(6)), number(10, 2) + packed(12, [1], "<f2"))
    + v1_layer("older", 14, legacy(1, 1, 1, 2) + packed(5, BIAS))
    + v0_layer("oldest", "conv", blob(BIAS))
)


def listing(data: bytes) -> list[tuple[str, list]]:
    return [
        (found.name, [(one.dims, one.count, one.array((one.count,)).tolist()) for one in found.blobs])
        for found in Caffemodel.parse(data).layers
    ]


def test_truncation_at_every_byte_is_an_error_or_a_prefix():
    whole = listing(WHOLE)
    prefixes = 0
    for stop in range(len(WHOLE)):
        try:
            found = listing(WHOLE[:stop])
        except WireError:
            continue
        assert found == whole[: len(found)]
        prefixes += 1
    assert prefixes == len(whole), "nothing but a name and whole layers may pass for a file"


def test_names_cannot_break_a_message():
    data = layer("a\n\x1b[31m", "X", packed(5, [1] * 9))
    with pytest.raises(WireError, match=r'layer "a\\n\\x1b\[31m", blob 0 ends after') as caught:
        Caffemodel.parse(data[:-4])
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("data", [b"\x0a" + varint(1 << 60), payload(100, payload(7, b"\x2a" + varint(1 << 62)))])
def test_promises_allocate_nothing(data):
    with pytest.raises(WireError):
        Caffemodel.parse(data)


@pytest.mark.parametrize("data", [b"\x08\x01", b"\x12\x03abc", b"PK\x03\x04 some archive", payload(50, b"?")])
def test_other_files_are_no_caffemodels(data):
    with pytest.raises(WireError):
        Caffemodel.parse(data)


@given(st.integers(0, len(WHOLE) - 1), st.binary(max_size=4), st.integers(0, 4))
def test_damage_ends_in_an_error_of_ours_or_in_numbers(position, new, removed):
    data = WHOLE[:position] + new + WHOLE[position + removed :]
    with contextlib.suppress(DemitasseError):
        listing(data)


def test_runs_cover_every_number_once():
    model = Caffemodel.parse(WHOLE)
    runs = list(model.runs())
    numbers = [np.frombuffer(model.buffer, run.dtype, run.nbytes // run.dtype.itemsize, run.offset) for run in runs]
    assert [run.shape for run in runs] == [(2, 3, 2, 2), (2,), (1,), (1, 1, 1, 2), (2,)]
    assert all(a.offset + a.nbytes <= b.offset for a, b in pairwise(runs))
    assert [array.tolist() for array in numbers[:3]] == [WEIGHTS.ravel().tolist(), BIAS.tolist(), [1]]


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.write_bytes(b""), lambda path: None])
def test_what_is_no_file_cannot_be_opened(tmp_path, make):
    path = tmp_path / "x.caffemodel"
    make(path)
    with pytest.raises(FileError, match=r"x\.caffemodel: "):
        Caffemodel.open(path)


def test_numbers_stay_in_the_file(tmp_path):
    path = tmp_path / "big.caffemodel"
    values = np.zeros((64, 1 << 18), np.float32)
    path.write_bytes(layer("ip", "InnerProduct", blob(values)))
    found = Caffemodel.open(path).layers[0].blobs[0].array()
    assert found.shape == values.shape
    assert not found.flags.owndata


@pytest.mark.zoo
def test_every_model_opens(zoo):
    paths = sorted(zoo.glob("models/*/*.caffemodel"))
    assert len(paths) == 28
    for path in paths:
        model = Caffemodel.open(path)
        assert model.layers
        for found in model.layers:
            for one in found.blobs:
                assert one.array().size == one.count > 0


LISTING = """
import sys, time
import numpy
from demitasse.caffe.model import Caffemodel
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
Caffemodel.open(sys.argv[2])
before, start = resident(), time.perf_counter()
shapes = [blob.shape for layer in Caffemodel.open(sys.argv[1]).layers for blob in layer.blobs]
print(time.perf_counter() - start, resident() - before, len(shapes))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="asks Linux for the memory in use")
def test_listing_530_mb_takes_no_time_and_no_memory(tmp_path):
    big, small = tmp_path / "big.caffemodel", tmp_path / "small.caffemodel"
    small.write_bytes(layer("ip", "InnerProduct", *PAIR))
    with big.open("wb") as file:
        for i, rows in enumerate([3 << 20] + [1 << 14] * 60):
            numbers, dims = rows * 32 * 4, shape(rows, 32)
            inside = varint(5 << 3 | 2) + varint(numbers)
            blob_head = varint(7 << 3 | 2) + varint(len(inside) + numbers + len(dims)) + inside
            head = payload(1, f"ip{i}") + payload(2, "InnerProduct") + blob_head
            file.write(varint(100 << 3 | 2) + varint(len(head) + numbers + len(dims)) + head)
            file.seek(numbers, os.SEEK_CUR)
            file.write(dims)
    assert big.stat().st_size > 520_000_000
    command = [sys.executable, "-c", LISTING, str(big), str(small)]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() for _ in range(3)]
    assert {count for _, _, count in runs} == {"61"}
    assert min(float(seconds) for seconds, _, _ in runs) < 0.05
    assert max(int(size) for _, size, _ in runs) < 40_000_000
