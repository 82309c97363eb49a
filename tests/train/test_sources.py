"""Against batches of real Caffe's data layers."""

import json

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("lmdb")
pytest.importorskip("plyvel")
pytest.importorskip("h5py")

from demitasse.caffe.read import parse_net
from demitasse.errors import DemitasseError, FileError, NetError
from demitasse.layers import build
from demitasse.train.sources import Feed


def feed(text, folder, phase="TEST", seed=0):
    return Feed(build(parse_net(text.encode()), phase), folder, seed)


@pytest.mark.zoo
def test_batches_are_caffes(golden):
    arrays = np.load(golden / "data/data.npz")
    cases = json.loads((golden / "data/data.json").read_text())
    for case in cases:
        batches = feed(case["prototxt"], golden / "data")
        for number in range(case["batches"]):
            found = batches(number)
            for name in ("data", "label"):
                expected = arrays[f"{case['name']}/{number}/{name}"]
                where = (case["name"], number, name)
                assert found[name].shape == expected.shape, where
                np.testing.assert_allclose(found[name], expected, rtol=1e-6, atol=1e-5, err_msg=str(where))
        batches.close()


SHUFFLED = """layer { name: "d" type: "ImageData" top: "data" top: "label" transform_param { crop_size: 5 mirror: true }
image_data_param { source: "color.txt" batch_size: 4 shuffle: true } }"""


@pytest.mark.zoo
def test_a_batch_is_the_same_whenever_it_is_asked_for(golden):
    one, other = (feed(SHUFFLED, golden / "data", "TRAIN", seed=3) for _ in range(2))
    in_order = [one(number) for number in range(6)]
    for number in (5, 2, 3, 0):
        np.testing.assert_array_equal(other(number)["data"], in_order[number]["data"])
    labels = [int(label) for batch in in_order[:3] for label in batch["label"]]
    assert sorted(labels[:6]) == sorted(labels[6:]), "an epoch has every picture once"
    assert labels[:6] != labels[6:]
    different = feed(SHUFFLED, golden / "data", "TRAIN", seed=4)
    assert not np.array_equal(different(0)["data"], in_order[0]["data"])


@pytest.mark.zoo
@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ('type: "Data" top: "x" data_param { source: "none" backend: LMDB batch_size: 1 }', FileError, "none"),
        ('type: "Data" top: "x" data_param { source: "color_lmdb" batch_size: 1 }', FileError, "LEVELDB"),
        ('type: "Data" top: "x" data_param { source: "color_lmdb" backend: LMDB }', NetError, "batch_size"),
        (
            'type: "Data" top: "x" data_param { source: "color_lmdb" backend: LMDB batch_size: 1 } '
            "transform_param { crop_size: 50 }",
            NetError,
            "crop of 50",
        ),
        (
            'type: "Data" top: "x" data_param { source: "color_lmdb" backend: LMDB batch_size: 1 } '
            'transform_param { mean_file: "no.binaryproto" }',
            FileError,
            "no.binaryproto",
        ),
        ('type: "ImageData" top: "x" top: "y" image_data_param { source: "c0.png" }', FileError, "line 1"),
        ('type: "HDF5Data" top: "x" hdf5_data_param { source: "h5.txt" batch_size: 1 }', FileError, "no array 'x'"),
        ('type: "WindowData" top: "x" top: "y"', NetError, "not supported"),
    ],
)
def test_what_cannot_be_read_is_named(golden, text, error, said):
    with pytest.raises(error, match=said):
        feed(f'layer {{ name: "d" {text} }}', golden / "data")(0)


def test_a_damaged_record_is_named(tmp_path):
    import lmdb

    with lmdb.open(str(tmp_path / "db"), map_size=1 << 20) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"00000000", b"\x08\x03 nothing of the kind")
    text = 'layer { name: "d" type: "Data" top: "x" data_param { source: "db" backend: LMDB batch_size: 1 } }'
    with pytest.raises(DemitasseError, match=r"record 0 \(00000000\)"):
        feed(text, tmp_path)(0)
