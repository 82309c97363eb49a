import gzip
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lmdb")
pytest.importorskip("cv2")

import cv2

from demitasse.cli.app import run as command
from demitasse.datasets.database import Database, write_database
from demitasse.datasets.datum import Datum, parse_datum
from demitasse.datasets.labelled import form_of, labelled
from demitasse.datasets.mean import read_mean
from demitasse.errors import FileError

RANDOM = np.random.default_rng(1)
GREY = RANDOM.integers(0, 256, (1500, 4, 5)).astype(np.uint8)
LABELS = (np.arange(1500) % 7).astype(np.uint8)


def idx(values):
    return b"\0\0\x08" + bytes([values.ndim]) + b"".join(n.to_bytes(4) for n in values.shape) + values.tobytes()


@pytest.fixture
def collections(tmp_path):
    """The same kinds of data in every form."""
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist/train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(GREY)))
    (tmp_path / "mnist/train-labels-idx1-ubyte").write_bytes(idx(LABELS))
    planes = RANDOM.integers(0, 256, (3, 3072)).astype(np.uint8)
    batch = b"".join(bytes([label]) + row.tobytes() for label, row in enumerate(planes))
    (tmp_path / "cifar").mkdir()
    (tmp_path / "cifar/data_batch_1.bin").write_bytes(batch)
    (tmp_path / "cifar/test_batch.bin").write_bytes(batch)
    for name, value in (("cat", 40), ("dog", 200)):
        (tmp_path / "folders" / name).mkdir(parents=True)
        for i in range(2):
            cv2.imwrite(str(tmp_path / f"folders/{name}/{i}.png"), np.full((6, 8, 3), value + i, np.uint8))
    (tmp_path / "list.txt").write_text("folders/dog/0.png 5\nfolders/cat/1.png 3\n")
    return tmp_path


def test_idx_files_packed_or_not(collections):
    found = list(labelled(collections / "mnist"))
    assert [datum.label for datum in found] == LABELS.tolist()
    np.testing.assert_array_equal(np.concatenate([datum.picture() for datum in found]), GREY)


def test_cifar_becomes_blue_first(collections):
    found = list(labelled(collections / "cifar"))
    record = (collections / "cifar/data_batch_1.bin").read_bytes()[1:3073]
    assert [datum.label for datum in found] == [0, 1, 2]
    np.testing.assert_array_equal(found[0].picture()[0].reshape(-1), np.frombuffer(record[2048:], np.uint8))


@pytest.mark.parametrize("encoded", [False, True])
def test_folders_and_lists_of_pictures(collections, encoded):
    found = list(labelled(collections / "folders", encoded=encoded))
    assert [(datum.label, int(datum.picture(True)[0, 0, 0])) for datum in found] == [
        (0, 40),
        (0, 41),
        (1, 200),
        (1, 201),
    ]
    found = list(labelled(collections / "list.txt", encoded=encoded))
    assert [(datum.label, int(datum.picture(True)[2, 5, 7])) for datum in found] == [(5, 200), (3, 41)]


def test_a_database_holds_all_of_more_than_one_transaction(collections):
    count = write_database(collections / "db", labelled(collections / "mnist"))
    assert count == 1500
    assert form_of(collections / "db") == "database"
    found = list(labelled(collections / "db"))
    assert [datum.label for datum in found] == LABELS.tolist()
    np.testing.assert_array_equal(np.concatenate([datum.picture() for datum in found]), GREY)
    with Database(collections / "db") as database:
        walk = database.datums(1498)
        assert [next(walk).label for _ in range(4)] == [LABELS[1498], LABELS[1499], LABELS[0], LABELS[1]]


@pytest.mark.parametrize(
    "values", [GREY[:1], np.float32([[[1.5, -2.0]]]), GREY[:3].astype(np.float32)], ids=["bytes", "two", "floats"]
)
def test_a_datum_comes_back(values):
    found = parse_datum(Datum(values, -3).to_bytes())
    assert found.label == -3
    np.testing.assert_array_equal(found.picture(), values)


def test_the_command_scales_shuffles_and_takes_the_mean(collections, capsys):
    source, output, mean = (str(collections / name) for name in ("folders", "lmdb", "mean.binaryproto"))
    assert (
        command(["dataset", source, "-o", output, "--resize", "4x3", "--shuffle", "--seed", "3", "--mean", mean]) == 0
    )
    assert "4 pictures" in capsys.readouterr().out
    found = list(labelled(collections / "lmdb"))
    assert sorted(datum.label for datum in found) == [0, 0, 1, 1]
    assert found[0].picture().shape == (3, 3, 4)
    np.testing.assert_allclose(read_mean(collections / "mean.binaryproto"), np.full((3, 3, 4), 120.5))


@pytest.mark.parametrize(
    ("change", "source", "said"),
    [
        (lambda f: (f / "mnist/train-labels-idx1-ubyte").unlink(), "mnist", "labels of that name"),
        (lambda f: (f / "mnist/train-labels-idx1-ubyte").write_bytes(idx(LABELS)[:-1]), "mnist", "should hold 1500"),
        (lambda f: (f / "cifar/data_batch_1.bin").write_bytes(b"123"), "cifar", "no whole number"),
        (lambda f: (f / "folders/dog/1.png").write_bytes(b"no picture"), "folders", "1.png"),
        (lambda f: (f / "list.txt").write_text("folders/dog/0.png 1\nno label\n"), "list.txt", "line 2"),
        (lambda f: (f / "list.txt").write_text("folders/dog/7.png 1\n"), "list.txt", "7.png"),
        (lambda f: (f / "empty").mkdir(), "empty", "no database"),
        (lambda f: None, "nowhere", "nowhere"),
    ],
)
def test_what_cannot_be_read_is_named(collections, change, source, said):
    change(collections)
    with pytest.raises(FileError, match=said):
        list(labelled(collections / source))


def test_a_database_that_is_there_is_left_alone(collections, capfd):
    assert command(["dataset", str(collections / "list.txt"), "-o", str(collections / "folders")]) == 2
    assert "exists already" in capfd.readouterr().err
    assert (collections / "folders/cat/0.png").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["empty.txt"], "the list is empty"),
        (["broken.txt"], "line 2"),
        (["mnist", "--encoded"], "kept encoded"),
        (["list.txt", "--mean", "folders"], "folders: cannot be written"),
    ],
)
def test_nothing_is_left_of_a_database_that_fails(collections, monkeypatch, capfd, arguments, said):
    monkeypatch.chdir(collections)
    Path("empty.txt").touch()
    Path("broken.txt").write_text("folders/dog/0.png 1\nno label\n")
    before = sorted(Path().rglob("*"))
    assert command(["dataset", *arguments, "-o", "new/db"]) == 2
    assert said in capfd.readouterr().err
    assert sorted(Path().rglob("*")) == before
