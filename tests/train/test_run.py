"""Whole runs from solver files: what they write, and that an interrupted one goes on as if nothing had been."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("lmdb")

from demitasse.caffe.read import read_binary
from demitasse.cli.app import run as command
from demitasse.datasets.database import write_database
from demitasse.datasets.datum import Datum
from demitasse.files import load
from demitasse.train.run import weights_of
from demitasse.train.snapshots import read_state

NET = """
name: "tiny"
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  transform_param { scale: 0.0039 mirror: true crop_size: 10 } data_param { source: "db" backend: LMDB batch_size: 8 } }
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST }
  transform_param { scale: 0.0039 crop_size: 10 } data_param { source: "db" backend: LMDB batch_size: 10 } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "drop" type: "Dropout" bottom: "conv" top: "conv" dropout_param { dropout_ratio: 0.2 } }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
layer { name: "accuracy" type: "Accuracy" bottom: "ip" bottom: "label" top: "accuracy" include { phase: TEST } }
"""

SOLVER = """
net: "net.prototxt" base_lr: 0.05 momentum: 0.9 weight_decay: 0.001 lr_policy: "step" gamma: 0.5 stepsize: 15
max_iter: 40 display: 10 snapshot: 20 snapshot_prefix: "tiny" test_iter: 3 test_interval: 20 random_seed: 7
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A solver, its net and its data: bars that stand left, in the middle, or right."""
    random = np.random.default_rng(0)

    def picture(label):
        values = random.integers(0, 60, (1, 12, 12)).astype(np.uint8)
        values[:, :, 3 + 3 * label] += 150
        return Datum(values, label)

    write_database(tmp_path / "db", (picture(i % 3) for i in range(30)))
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(*arguments):
    return command(["train", "solver.prototxt", "--threads", "1", *arguments])


def weights(path):
    return {layer.name: [t.array() for t in layer.tensors] for layer in read_binary(path).layers if layer.tensors}


def same(a, b):
    assert a.keys() == b.keys()
    for name, blobs in a.items():
        for x, y in zip(blobs, b[name], strict=True):
            np.testing.assert_array_equal(x, y, err_msg=name)


def test_a_run_learns_tests_and_saves(folder, capsys):
    assert train("-o", "out", "--json") == 0
    events = json.loads(capsys.readouterr().out)["events"]
    tests = [event for event in events if event["event"] == "test"]
    assert [event["iteration"] for event in tests] == [0, 20, 40]
    assert tests[-1]["outputs"]["loss"] < tests[0]["outputs"]["loss"]
    logged = [json.loads(line) for line in (folder / "out/tiny_log.jsonl").read_text().splitlines()]
    assert logged == events
    assert sorted(path.name for path in (folder / "out").iterdir() if "log" not in path.name) == [
        f"tiny_iter_{number}.{kind}" for number in (20, 40) for kind in ("caffemodel", "solverstate")
    ]


@pytest.mark.parametrize("form", ["BINARYPROTO", "HDF5"])
def test_a_continued_run_gives_the_same_bits(folder, form):
    (folder / "solver.prototxt").write_text(f"{SOLVER} snapshot_format: {form}")
    ending = ".h5" if form == "HDF5" else ""

    def read(path):
        return {layer.name: [t.array() for t in layer.tensors] for layer in weights_of(path).layers if layer.tensors}

    assert train("-o", "whole", "-q") == 0
    assert train("-o", "cut", "-q", "--iterations", "20") == 0
    assert train("-o", "cut", "-q", "--resume") == 0
    same(read(folder / f"whole/tiny_iter_40.caffemodel{ending}"), read(folder / f"cut/tiny_iter_40.caffemodel{ending}"))
    states = [read_state(folder / f"{name}/tiny_iter_40.solverstate{ending}") for name in ("whole", "cut")]
    same(*({"history": state.history, "counts": [state.iteration, state.step]} for state in states))


def test_an_interrupt_saves_and_another_run_goes_on(folder):
    (folder / "solver.prototxt").write_text(SOLVER.replace("max_iter: 40", "max_iter: 100000"))
    run = subprocess.Popen(
        [sys.executable, "-m", "demitasse", "train", "solver.prototxt", "-o", "out", "--threads", "1"],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    for line in run.stdout:
        if "iteration 10" in line:
            run.send_signal(signal.SIGINT)
            break
    rest = run.stdout.read()
    assert run.wait(60) == 130, rest
    assert "--resume" in rest
    stopped = max(int(path.stem.rpartition("_")[2]) for path in (folder / "out").glob("*.solverstate"))
    assert train("-o", "out", "--resume", "--iterations", "5", "-q") == 0
    assert (folder / f"out/tiny_iter_{stopped + 5}.caffemodel").exists()


def test_a_killed_run_continues_from_its_last_snapshot(folder):
    (folder / "solver.prototxt").write_text(SOLVER.replace("max_iter: 40", "max_iter: 60"))
    assert train("-o", "whole", "-q") == 0
    killed = subprocess.Popen(
        [sys.executable, "-m", "demitasse", "train", "solver.prototxt", "-o", "cut", "-q", "--threads", "1"]
    )
    while not list(folder.glob("cut/*.solverstate")) and killed.poll() is None:
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    assert train("-o", "cut", "-q", "--resume") == 0
    same(weights(folder / "whole/tiny_iter_60.caffemodel"), weights(folder / "cut/tiny_iter_60.caffemodel"))


def test_two_processes_lose_what_one_does(folder):
    text = NET.replace('layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }', "").replace(
        "dropout_ratio: 0.2", "dropout_ratio: 0"
    )
    (folder / "net.prototxt").write_text(text)
    (folder / "solver.prototxt").write_text(SOLVER + "snapshot_after_train: true")
    assert train("-o", "one", "-q") == 0
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    arguments = ["-m", "demitasse", "train", "solver.prototxt", "-o", "two", "-q", "--threads", "1"]
    done = subprocess.run([*torchrun, *arguments], capture_output=True, text=True, env={**os.environ})
    assert done.returncode == 0, done.stderr
    losses = [
        [
            event["loss"]
            for event in map(json.loads, (folder / name / "tiny_log.jsonl").read_text().splitlines())
            if event["event"] == "train"
        ]
        for name in ("one", "two")
    ]
    assert len(losses[0]) == 4
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "change", "said"),
    [
        (["--resume"], "", "no snapshot to continue from"),
        (["--weights", "none.caffemodel"], "", "none.caffemodel"),
        (["--weights", "net.prototxt", "--resume"], "", "leave --weights out"),
        ([], "nowhere", "there is no such database"),
        ([], "no max", "--iterations"),
        (["--target-size", "20"], "", "too few"),
        (["--target-size", "much"], "", "no size"),
        (["--target-size", "9KB", "--ratio", "3"], "", "give one"),
        (["--lasso", "rows=1"], "", "KIND=PRICE"),
        (["--lasso", "filters=nan"], "", "KIND=PRICE"),
        (["--lasso", "filters=-1"], "", "KIND=PRICE"),
        (["--resume", "-o", "new"], "", "no snapshot to continue from"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(folder, capfd, arguments, change, said):
    if change == "nowhere":
        (folder / "net.prototxt").write_text(NET.replace('"db"', '"nowhere"'))
    if change == "no max":
        (folder / "solver.prototxt").write_text(SOLVER.replace("max_iter: 40", ""))
    assert train(*arguments) == 2
    error = capfd.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (folder / "new").exists()


def test_a_size_that_is_asked_for_is_what_lies_on_the_disk(folder, capsys):
    text = (
        SOLVER.replace("max_iter: 40", "max_iter: 200")
        .replace("snapshot: 20", "")
        .replace("base_lr: 0.05 momentum: 0.9 weight_decay: 0.001", "base_lr: 0.005 type: 'Adam' momentum: 0.9")
    )
    (folder / "solver.prototxt").write_text(text)
    assert train("-o", "out", "--target-size", "0.6KB", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    nbytes = (folder / "out/tiny.demi").stat().st_size
    assert found["bytes"] == nbytes
    assert nbytes < 750, "the plain weights are 3.2 KB"


def test_debug_info_tells_the_size_of_weights_and_gradients(folder, capsys):
    (folder / "solver.prototxt").write_text(SOLVER.replace("max_iter: 40", "max_iter: 2") + "debug_info: true")
    assert train("-o", "out") == 0
    assert "conv/0" in capsys.readouterr().out
    events = [json.loads(line) for line in (folder / "out/tiny_log.jsonl").read_text().splitlines()]
    told = [event["magnitudes"] for event in events if event["event"] == "debug"]
    assert len(told) == 2
    assert all(weight > 0 and gradient > 0 for weight, gradient in (each["ip/0"] for each in told))
    assert told[0]["ip/0"] != told[1]["ip/0"]


def test_a_diverging_run_ends(folder, capfd):
    (folder / "solver.prototxt").write_text(SOLVER.replace("base_lr: 0.05", "base_lr: 1e30"))
    assert train("-q") == 2
    assert "diverged" in capfd.readouterr().err


def test_a_pipeline_is_a_run_after_the_other(folder, capsys):
    """Deep Compression's: prune, learn on, share values, learn on; zeros stay, and the .demi has just those values."""
    assert train("-o", "few", "-q", "--density", "0.4", "--density", "0.5@conv", "--until", "20") == 0
    pruned = weights(folder / "few/tiny_iter_40.caffemodel")
    assert {name: np.mean(pruned[name][0] != 0) for name in ("conv", "ip")} == pytest.approx(
        {"conv": 0.5, "ip": 0.4}, abs=0.02
    )
    assert not (folder / "few/tiny.demi").exists()
    start = ("--weights", "few/tiny_iter_40.caffemodel", "--keep-zeros", "--clusters", "4")
    assert train("-o", "shared", "--json", *start) == 0
    found = json.loads(capsys.readouterr().out)
    shared = weights(folder / "shared/tiny_iter_40.caffemodel")
    stored = load(folder / "shared/tiny.demi")
    for name in ("conv", "ip"):
        values = shared[name][0]
        assert not values[pruned[name][0] == 0].any()
        assert len(np.unique(values)) <= 5
        assert not np.array_equal(values, pruned[name][0])
        np.testing.assert_array_equal(stored.layer(name).tensors[0].array(), values)
    assert found["bytes"] == (folder / "shared/tiny.demi").stat().st_size
    assert 0.35 < found["density"] < 0.5


def test_a_continued_run_keeps_masks_and_values(folder):
    (folder / "r.yaml").write_text(
        "- mask: {density: 0.3, end: 25, every: 5, splice: true}\n- clusters: {values: 4, begin: 10}"
    )
    assert train("-o", "whole", "-q", "--recipe", "r.yaml") == 0
    assert train("-o", "cut", "-q", "--recipe", "r.yaml", "--iterations", "20") == 0
    assert train("-o", "cut", "-q", "--recipe", "r.yaml", "--resume") == 0
    same(*(weights(folder / f"{name}/tiny_iter_40.caffemodel") for name in ("whole", "cut")))


def test_a_teacher_alone_teaches_without_labels(folder, capsys):
    assert train("-o", "teacher", "-q") == 0
    assert (
        command(
            [
                "strip",
                "net.prototxt",
                "teacher/tiny_iter_40.caffemodel",
                "-o",
                "teacher/t.demi",
                "--input",
                "data=1x1x10x10",
                "-q",
            ]
        )
        == 0
    )
    unlabelled = NET[: NET.index('layer { name: "loss"')].replace(' top: "label"', "")
    (folder / "net.prototxt").write_text(unlabelled)
    (folder / "solver.prototxt").write_text(SOLVER.replace("test_iter: 3 test_interval: 20", ""))
    assert train("-o", "none", "-q") == 2
    assert "no loss" in capsys.readouterr().err
    assert train("-o", "taught", "--json", "--teacher", "teacher/t.demi") == 0
    events = json.loads(capsys.readouterr().out)["events"]
    losses = [event["loss"] for event in events if event["event"] == "train"]
    assert losses[-1] < 0.7 * losses[0]
