"""The commands from the outside: what they print, write and return."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from demitasse import files
from demitasse.cli import main
from networks import small_classifier

DEPLOY, MODEL = "deploy.prototxt", "face.caffemodel"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small network, and nothing else, to work in."""
    small_classifier(tmp_path / DEPLOY, tmp_path / MODEL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def printed(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out)


def test_lossless_there_and_back(here, capsys):
    assert main(["compress", DEPLOY, MODEL, "-o", "x.demi", "--lossless"]) == 0
    assert main(["expand", "x.demi", "-o", "out/"]) == 0
    for name, original in (("x.prototxt", DEPLOY), ("x.caffemodel", MODEL)):
        assert (here / "out" / name).read_bytes() == (here / original).read_bytes()
    assert names(here) == [DEPLOY, MODEL, "out", "out/x.caffemodel", "out/x.prototxt", "x.demi"]
    text = capsys.readouterr().out
    assert "byte for byte" in text
    assert "OpenCV 4 (loaded and run)" in text


def test_the_same_input_gives_the_same_bytes_on_any_number_of_threads(here):
    for threads in ("1", "2", "5"):
        assert main(["compress", DEPLOY, MODEL, "-o", f"{threads}.demi", "--lossless", "-q", "--threads", threads]) == 0
    assert len({(here / f"{threads}.demi").read_bytes() for threads in (1, 2, 5)}) == 1


def test_json_says_what_was_done(here, capsys):
    main(["compress", DEPLOY, MODEL, "-o", "x.demi", "--lossless", "--json"])
    found = printed(capsys)
    assert found["verified"]
    assert found["output"]["file_bytes"] == (here / "x.demi").stat().st_size
    assert found["input"]["file_bytes"] == (here / MODEL).stat().st_size
    assert found["input"]["parameters"] == found["output"]["parameters"] == 16 * 28 + 19370
    main(["expand", "x.demi", "-o", "out", "--json"])
    assert printed(capsys)["opencv"] == {"ran": True, "reason": ""}


@pytest.mark.parametrize("command", ["compress", "expand"])
def test_a_dry_run_writes_nothing(here, command, capsys):
    main(["compress", DEPLOY, MODEL, "-o", "x.demi", "--lossless", "-q"])
    before = names(here)
    given = [DEPLOY, MODEL, "--lossless", "-o", "y.demi"] if command == "compress" else ["x.demi", "-o", "out/"]
    assert main([command, *given, "--dry-run"]) == 0
    assert names(here) == before
    assert "would" in capsys.readouterr().out


def test_quiet_is_quiet(here, capsys):
    assert main(["compress", DEPLOY, MODEL, "-o", "x.demi", "--lossless", "-q"]) == 0
    assert main(["inspect", "x.demi", "-q"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("given", [[DEPLOY, MODEL], [DEPLOY], ["x.demi"], ["y.demi"], ["."]])
def test_inspect_takes_every_form(here, given, capsys):
    main(["compress", DEPLOY, MODEL, "-o", "x.demi", "--lossless", "-q"])
    files.save(files.load(DEPLOY, MODEL), "y.demi")
    assert main(["inspect", *given, "--json"]) == 0
    found = printed(capsys)
    assert (found["parameters"], found["macs"]) == (16 * 28 + 19370, 22 * 22 * 16 * 27 + 19360)
    layers = {layer["name"]: layer for layer in found["layers"]}
    assert layers["conv1"]["output"] == [1, 16, 22, 22]
    assert layers["conv1"]["dead_outputs"] == (0 if given == [DEPLOY] else 1)
    stored = sum(layer["stored"] or 0 for layer in found["layers"])
    assert (0 < stored < (here / "y.demi").stat().st_size) == (given == ["y.demi"])
    assert main(["inspect", *given, "--all"]) == 0
    assert "pool1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compress", MODEL, DEPLOY, "-o", "x.demi"], "DEPLOY comes first"),
        (["compress", DEPLOY, "-o", "x.demi"], "weights are missing"),
        (["compress", DEPLOY, MODEL, "-o", "x.onnx", "--lossless"], "cannot write .onnx"),
        (["compress", DEPLOY, MODEL, "-o", "out/", "--lossless"], "-o face.demi"),
        (["compress", DEPLOY, MODEL, "-o", "no/../" + MODEL], "cannot write .caffemodel|name a folder"),
        (["compress", DEPLOY, MODEL, "-o", "x.demi", "--quality", "-3"], "--quality"),
        (["compress", DEPLOY, MODEL, "-o", "x.demi", "--lossless", "--quality", "30"], "no meaning"),
        (["compress", DEPLOY, MODEL, "-o", "x.demi", "--mean", "a,b"], "--mean"),
        (["compress", DEPLOY, MODEL, "-o", "x.demi", "--threads", "0"], "--threads"),
        (["compress", "cut.demi", "-o", "x.demi", "--lossless"], "already"),
        (["expand", DEPLOY, MODEL, "-o", "out/"], "expand takes a .demi"),
        (["expand", "x.demi", "-o", "out/"], "No such file"),
        (["expand", DEPLOY, "-o", "out/"], "expand takes a .demi"),
        (["expand", MODEL, "-o", "out/"], "expand takes a .demi"),
        (["expand", "cut.demi", "cut.demi", "-o", "out/"], "2 files given"),
        (["import-net", MODEL, DEPLOY, "-o", "x.demi"], "is not a prototxt"),
        (["import-net", DEPLOY, MODEL, "-o", "x.demi"], "no .net of Deep Compression"),
        (["inspect", "."], "folder"),
        (["inspect", "empty"], "empty"),
        (["inspect", "cut.demi"], "cut.demi"),
        (["inspect", DEPLOY, "cut.caffemodel"], "truncated"),
        (["inspect", "broken.prototxt"], "broken.prototxt"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(here, arguments, message, capsys):
    (here / "empty").touch()
    (here / "cut.caffemodel").write_bytes((here / MODEL).read_bytes()[:20000])
    (here / "cut.demi").write_bytes(b"\x89DEMI\r\n cut")
    (here / "broken.prototxt").write_text("layer { name: ")
    before = names(here)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert any(part in err for part in message.split("|")), err
    assert out == ""
    assert names(here) == before


def test_an_input_is_never_an_output(here, capsys):
    (here / "in.demi").write_bytes(b"")
    os.link(here / MODEL, here / "linked.demi")
    before = (here / MODEL).read_bytes()
    assert main(["compress", DEPLOY, MODEL, "-o", "linked.demi", "--lossless"]) == 2
    assert "input" in capsys.readouterr().err
    assert (here / MODEL).read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(here, capsys):
    (here / "locked").mkdir(mode=0o500)
    assert main(["compress", DEPLOY, MODEL, "-o", "locked/x.demi", "--lossless"]) == 2
    assert "permission denied" in capsys.readouterr().err


def test_an_unknown_layer_is_a_note(here, capsys):
    text = (here / DEPLOY).read_text()
    (here / DEPLOY).write_text(text.replace('"Softmax"', '"HomeMade"'))
    assert main(["inspect", DEPLOY, MODEL]) == 0
    assert "HomeMade" in capsys.readouterr().out
    assert main(["compress", DEPLOY, MODEL, "-o", "x.demi", "--lossless"]) == 0
    assert main(["expand", "x.demi", "-o", "out/"]) == 0
    assert "not run through OpenCV" in capsys.readouterr().out


def process(arguments: list[str], **options) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "import sys; from demitasse.cli import main; sys.exit(main())", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def test_a_pipe_that_closes_is_no_error(here):
    done = process(["inspect", DEPLOY, MODEL])
    done.stdout.close()
    assert done.wait() == 128 + signal.SIGPIPE
    assert done.stderr.read() == b""


def test_a_pipe_gets_plain_text(here):
    out, err = process(["inspect", DEPLOY, MODEL]).communicate()
    assert b"\x1b" not in out
    assert err == b""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_ctrl_c_leaves_nothing(here, number, status):
    weights = np.random.default_rng(0).standard_normal((300, 50000)).astype(np.float32)
    (here / DEPLOY).write_text(
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 50000 } } }\n'
        'layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param { num_output: 300 '
        "bias_term: false } }\n"
    )
    from networks import blob, field

    (here / MODEL).write_bytes(field(100, field(1, b"fc") + field(2, b"InnerProduct") + field(7, blob(weights))))
    before = names(here)
    # Whoever runs the tests in the background of a shell ignores SIGINT, and so would a child.
    listening = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    running = process(["compress", DEPLOY, MODEL, "-o", "new/x.demi", "--no-run"], **listening)
    deadline = time.monotonic() + 30
    while not (here / "new").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    running.send_signal(number)
    assert running.wait(30) == status
    assert names(here) == before
