from pathlib import Path

import numpy as np
import pytest

from demitasse import files, originals
from demitasse.codec.original import Frame
from demitasse.errors import OptionError, VerificationError
from networks import encoded, field, random, small_classifier


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    paths = (tmp_path / "deploy.prototxt", tmp_path / "x.caffemodel")
    small_classifier(*paths)
    return paths


def test_both_files_come_back_byte_for_byte(pair, tmp_path):
    leftovers = encoded({"loss": ("SoftmaxWithLoss", [random((3, 4), 9)])}) + field(999, b"a fork's own")
    pair[1].write_bytes(pair[1].read_bytes() + leftovers)
    originals.store(*pair, tmp_path / "x.demi")
    back = tmp_path / "back.prototxt", tmp_path / "back.caffemodel"
    originals.restore(tmp_path / "x.demi", *back)
    assert [path.read_bytes() for path in back] == [path.read_bytes() for path in pair]


def test_what_reached_the_disk_is_what_is_checked(pair, tmp_path, monkeypatch):
    originals.store(*pair, tmp_path / "x.demi")
    parts = Frame.unchecked

    def one_bit_off(frame):
        for part in parts(frame):
            changed = bytearray(part)
            changed[-1] ^= 1
            yield memoryview(changed)

    monkeypatch.setattr(Frame, "unchecked", one_bit_off)
    with pytest.raises(VerificationError, match="sha256"):
        originals.restore(tmp_path / "x.demi", tmp_path / "a", tmp_path / "b")
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "b").exists()


def test_the_network_can_be_loaded_without_restoring_it(pair, tmp_path):
    originals.store(*pair, tmp_path / "x.demi")
    expected, found = files.load(*pair), files.load(tmp_path / "x.demi")
    assert [layer.name for layer in found.layers] == [layer.name for layer in expected.layers]
    for mine, theirs in zip(expected.layers, found.layers, strict=True):
        assert all(np.array_equal(a.array(), b.array()) for a, b in zip(mine.tensors, theirs.tensors, strict=True))


def test_another_demi_has_no_original(pair, tmp_path):
    files.save(files.load(*pair), tmp_path / "x.demi")
    assert not originals.is_original(tmp_path / "x.demi")
    with pytest.raises(OptionError, match="without loss"):
        originals.restore(tmp_path / "x.demi", tmp_path / "a", tmp_path / "b")
    assert not (tmp_path / "a").exists()


@pytest.mark.zoo
def test_every_real_model_comes_back(zoo, tmp_path):
    for folder in sorted((zoo / "models").iterdir()):
        model = folder / f"{folder.name}.caffemodel"
        originals.store(folder / "deploy.prototxt", model, tmp_path / "x.demi")
        originals.restore(tmp_path / "x.demi", tmp_path / "p", tmp_path / "m")
        assert (tmp_path / "m").read_bytes() == model.read_bytes(), folder.name
        assert (tmp_path / "p").read_bytes() == (folder / "deploy.prototxt").read_bytes(), folder.name
