import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from demitasse import files
from demitasse.caffe import write
from demitasse.errors import FileError, NetError, OptionError, WeightsError
from demitasse.files import load, save, to_bytes
from demitasse.net import Dense, Net
from networks import encoded, random, small_classifier


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "deploy.prototxt", tmp_path / "small.caffemodel"
    small_classifier(*paths)
    return paths


def bits(net: Net) -> list:
    return [(found.name, [tensor.array().tobytes() for tensor in found.tensors]) for found in net.layers]


def listing(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_pair_goes_through_a_demi_and_comes_back(pair, tmp_path):
    net = load(*pair)
    save(net, tmp_path / "x.demi")
    stored = load(tmp_path / "x.demi")
    save(stored, tmp_path / "back.prototxt", tmp_path / "back.caffemodel")
    assert (tmp_path / "back.prototxt").read_bytes() == pair[0].read_bytes()
    again = load(tmp_path / "back.prototxt", tmp_path / "back.caffemodel")
    assert bits(net) == bits(stored) == bits(again)


def test_what_a_demi_says_beside_the_text_is_kept(pair, tmp_path):
    save(replace(load(*pair), metadata={"mean": [104, 117, 123]}), tmp_path / "x.demi")
    assert load(tmp_path / "x.demi").metadata == {"mean": [104, 117, 123]}


def test_layers_of_one_name_keep_their_own_weights_in_a_demi(tmp_path):
    text = tmp_path / "two.prototxt"
    rule = 'layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" include { phase: %s } }'
    text.write_text(f"{rule % 'TRAIN'} {rule % 'TEST'}")
    net = load(text)
    first, second = (Dense(random((2, 3), seed)) for seed in (1, 2))
    net = net.with_layers([net.layers[0].with_tensors([first]), net.layers[1].with_tensors([second])])
    save(net, tmp_path / "two.demi")
    assert bits(load(tmp_path / "two.demi")) == bits(net)


def test_in_memory_it_is_the_same(pair, tmp_path):
    save(load(*pair), tmp_path / "a.prototxt", tmp_path / "a.caffemodel")
    assert to_bytes(load(*pair)) == ((tmp_path / "a.prototxt").read_bytes(), (tmp_path / "a.caffemodel").read_bytes())


def test_in_memory_doubles_are_floats(pair):
    net = load(*pair)
    double = net.layer("fc").with_tensors(Dense(t.array().astype(np.float64)) for t in net.layer("fc").tensors)
    assert to_bytes(net.with_layers(double if one.name == "fc" else one for one in net.layers)) == to_bytes(net)


def test_a_prototxt_alone_and_one_phase_of_it(tmp_path):
    path = tmp_path / "n.prototxt"
    path.write_text(
        'layer { name: "in" type: "Input" top: "x" } layer { name: "r" type: "ReLU" bottom: "x" top: "y" }'
        'layer { name: "drop" type: "Dropout" bottom: "y" top: "z" include { phase: TRAIN } }'
    )
    assert [found.name for found in load(path).layers] == ["in", "r", "drop"]
    assert [found.name for found in load(path, phase="TEST").layers] == ["in", "r"]
    assert [found.name for found in load(path, phase="TRAIN").layers] == ["in", "r", "drop"]
    with pytest.raises(NetError, match="phase"):
        load(path, phase="PLAY")


def test_missing_weights(pair, tmp_path):
    other = tmp_path / "other.caffemodel"
    other.write_bytes(encoded({"conv1": ("Convolution", [random((16, 3, 3, 3), 1), random((16,), 3)])}))
    with pytest.raises(WeightsError, match='no weights for layer "fc"'):
        load(pair[0], other)
    assert load(pair[0], other, missing="keep").layer("fc").tensors == ()
    for paths in ([pair[0]], pair):
        with pytest.raises(OptionError, match="missing must be"):
            load(*paths, missing="maybe")


WRONG = {
    "the wrong way round": (("m", "p"), FileError, r"m holds weights and .*p is a prototxt: give the prototxt first"),
    "weights alone": (("m",), FileError, "m holds weights only"),
    "two texts": (("p", "p"), FileError, "p is a text, not a caffemodel"),
    "two weights": (("m", "m"), FileError, "m is not a prototxt"),
    "a .demi and weights": (("d", "m"), FileError, "d holds a whole network: give it alone"),
    "nothing": ((), OptionError, "got 0 files"),
    "three": (("p", "m", "m"), OptionError, "got 3 files"),
    "a file that is not there": (("none", "m"), FileError, "none: cannot be read: No such file"),
    "a folder": (("folder",), FileError, "folder: is a folder"),
    "an empty file": (("p", "empty"), FileError, "empty: the file is empty"),
    "a name with a null": (("a\0b",), FileError, "cannot be read: embedded null"),
    "a name too long": (("p", "m" * 300), FileError, "cannot be read: File name too long"),
    "a file within a file": (("p/x", "m"), FileError, "cannot be read: Not a directory"),
    "HDF5": (("p", "h5"), FileError, "h5: is an HDF5 file"),
    "a Git LFS pointer": (("p", "lfs"), FileError, "git lfs pull"),
    "a web page": (("html", "m"), FileError, "HTML page"),
    "UTF-16": (("utf16", "m"), FileError, "UTF-16"),
    "binary of another kind": (("p", "junk"), FileError, "junk: "),
}


@pytest.fixture
def folder(pair, tmp_path: Path) -> Path:
    save(load(*pair), tmp_path / "d.demi")
    for old, new in (("deploy.prototxt", "p"), ("small.caffemodel", "m"), ("d.demi", "d")):
        (tmp_path / old).rename(tmp_path / new)
    (tmp_path / "folder").mkdir()
    contents = {
        "empty": b"",
        "h5": b"\x89HDF\r\n\x1a\n" + bytes(100),
        "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n",
        "html": b"\n<!DOCTYPE html><html></html>",
        "utf16": 'name: "n"'.encode("utf-16"),
        "junk": bytes(range(256)),
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


@pytest.mark.parametrize(("names", "error", "said"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_loaded_is_told_in_one_line(folder, names, error, said):
    with pytest.raises(error, match=said) as caught:
        load(*(folder / name for name in names))
    assert "\n" not in str(caught.value)


REFUSED = {
    "over the prototxt": (("deploy.prototxt", "new"), FileError, "was read from this file"),
    "over the caffemodel": (("new", "small.caffemodel"), FileError, "was read from this file"),
    "over a link to it": (("new", "link"), FileError, "was read from this file"),
    "over another name of it": (("new", "other"), FileError, "was read from this file"),
    "a .demi over the caffemodel": (("link.demi",), FileError, "was read from this file"),
    "both under one name": (("new", "new"), FileError, "is named twice"),
    "a folder": (("new", "folder"), FileError, "is a folder"),
    "in no folder": (("none/new", "new"), FileError, "there is no folder"),
    "a name too long": (("new", "m" * 300), FileError, "cannot be written: File name too long"),
    "a name with a null": (("new", "a\0b"), FileError, "cannot be written: .*null"),
    "one name": (("new.prototxt",), OptionError, "got .*new.prototxt"),
    "a pair with a .demi": (("new.prototxt", "new.demi"), OptionError, "takes a prototxt and a caffemodel"),
    "no name": ((), OptionError, "got none"),
}


@pytest.mark.parametrize(("names", "error", "said"), REFUSED.values(), ids=REFUSED)
def test_what_may_not_be_written_is_not(pair, tmp_path, names, error, said):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(pair[1])
    (tmp_path / "link.demi").symlink_to(pair[1])
    os.link(pair[1], tmp_path / "other")
    net, before = load(*pair), listing(tmp_path)
    with pytest.raises(error, match=said):
        save(net, *(tmp_path / name for name in names))
    assert listing(tmp_path) == before


def test_a_demi_is_not_written_over_itself(pair, tmp_path):
    save(load(*pair), tmp_path / "x.demi")
    with pytest.raises(FileError, match="was read from this file"):
        save(load(tmp_path / "x.demi"), tmp_path / "x.demi")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(pair, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(FileError, match="cannot be written: Permission denied"):
        save(load(*pair), tmp_path / "locked" / "a", tmp_path / "locked" / "b")


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, OSError(28, "No space left on device")])
@pytest.mark.parametrize("before", [{}, {"a.prototxt": b"old", "a.caffemodel": b"older"}])
def test_what_is_interrupted_leaves_the_old_files(pair, tmp_path, monkeypatch, error, before):
    target = tmp_path / "out"
    target.mkdir()
    for name, data in before.items():
        (target / name).write_bytes(data)
    net = load(*pair)

    class Interrupted(Dense):
        def array(self):
            raise error

    last = replace(net.layers[-2], tensors=(net.layers[-2].tensors[0], Interrupted(np.ones(10, np.float32))))
    net = net.with_layers([*net.layers[:-2], last, net.layers[-1]])
    with pytest.raises(FileError if isinstance(error, OSError) else error):
        save(net, target / "a.prototxt", target / "a.caffemodel")
    assert listing(target) == before


def test_a_pair_is_complete_on_disk_before_it_has_a_name(pair, tmp_path, monkeypatch):
    target = tmp_path / "out"
    target.mkdir()
    seen = []
    original = write.write_caffemodel

    def watched(net, file):
        size = original(net, file)
        seen.append(sorted(path.suffix for path in target.iterdir()))
        return size

    monkeypatch.setattr(files, "write_caffemodel", watched)
    save(load(*pair), target / "a.prototxt", target / "a.caffemodel")
    assert seen == [[".tmp", ".tmp"]]
    assert sorted(listing(target)) == ["a.caffemodel", "a.prototxt"]


def test_saving_twice_gives_the_same_bytes(pair, tmp_path):
    for i in (1, 2):
        save(load(*pair), tmp_path / f"{i}.prototxt", tmp_path / f"{i}.caffemodel")
        save(load(*pair), tmp_path / f"{i}.demi")
    for suffix in ("prototxt", "caffemodel", "demi"):
        assert (tmp_path / f"1.{suffix}").read_bytes() == (tmp_path / f"2.{suffix}").read_bytes()


def test_existing_files_are_replaced(pair, tmp_path):
    for name in ("a.prototxt", "a.caffemodel", "a.demi"):
        (tmp_path / name).write_bytes(b"old")
    net = load(*pair)
    save(net, tmp_path / "a.prototxt", tmp_path / "a.caffemodel")
    save(net, tmp_path / "a.demi")
    assert (
        bits(load(tmp_path / "a.prototxt", tmp_path / "a.caffemodel")) == bits(load(tmp_path / "a.demi")) == bits(net)
    )
