from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import demitasse as dm
from demitasse.errors import MissingExtraError, NetError
from demitasse.runtime import opencv
from networks import small_classifier, small_detector

cv2 = pytest.importorskip("cv2")

PICTURE = np.linspace(-1, 1, 3 * 24 * 24, dtype=np.float32).reshape(1, 3, 24, 24)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    paths = (tmp_path / "deploy.prototxt", tmp_path / "x.caffemodel")
    small_classifier(*paths)
    return paths


def test_the_other_process_computes_the_same(files):
    net = cv2.dnn.readNetFromCaffe(*map(str, files))
    net.setInput(PICTURE)
    expected = net.forward(["fc", "prob"])
    (found,) = opencv.run_files(*files, [{"data": PICTURE}], ["fc", "prob"])
    assert list(found) == ["fc", "prob"]
    for name, values in zip(found, expected, strict=True):
        np.testing.assert_allclose(found[name], values, rtol=1e-5)


def test_without_names_the_outputs_are_those_that_nothing_reads(files):
    results = opencv.run_files(*files, [{"data": PICTURE}, {"data": -PICTURE}], [])
    assert [list(found) for found in results] == [["prob"], ["prob"]]
    assert not np.array_equal(results[0]["prob"], results[1]["prob"])


def test_names_that_opencv_does_not_have_are_left_out(files):
    (found,) = opencv.run_files(*files, [{"data": PICTURE}], ["prob", "nowhere"])
    assert list(found) == ["prob"]


def test_a_detector_runs(tmp_path):
    paths = (tmp_path / "d.prototxt", tmp_path / "d.caffemodel")
    small_detector(*paths)
    (found,) = opencv.run_files(*paths, [{"data": np.ones((1, 3, 48, 48), np.float32)}], ["found", "loc_flat"])
    assert found["found"].shape[3] == 7


def test_what_opencv_refuses_is_a_typed_error(files):
    prototxt, caffemodel = files
    prototxt.write_text(prototxt.read_text().replace("Pooling", "NoSuchLayer"))
    with pytest.raises(NetError, match="OpenCV"):
        opencv.run_files(prototxt, caffemodel, [{"data": PICTURE}], [])


def test_a_wrong_input_is_a_typed_error(files):
    with pytest.raises(NetError, match="cannot run"):
        opencv.run_files(*files, [{"data": np.ones((1, 5, 24, 24), np.float32)}], [])


def test_a_network_that_takes_too_long_is_given_up(files):
    with pytest.raises(NetError, match="did not finish"):
        opencv.run_files(*files, [{"data": PICTURE}], [], timeout=0.001)


def test_a_crash_is_a_typed_error(files, monkeypatch, tmp_path):
    crash = tmp_path / "crash"
    crash.write_text("#!/bin/sh\nkill -ABRT $$\n")
    crash.chmod(0o755)
    monkeypatch.setattr(opencv.sys, "executable", str(crash))
    with pytest.raises(NetError, match="SIGABRT"):
        opencv.run_files(*files, [{"data": PICTURE}], [])


def test_without_opencv_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'demitasse\[opencv\]'"):
        opencv.import_opencv("x")


def test_opencv_5_is_no_help(monkeypatch):
    class Five:
        __version__ = "5.0.0"

    monkeypatch.setitem(__import__("sys").modules, "cv2", Five)
    with pytest.raises(MissingExtraError, match=r"5\.0\.0"):
        opencv.import_opencv("x")


@pytest.mark.parametrize("form", ["plain", "demi", "lossless"])
def test_a_network_is_handed_over_in_memory(files, tmp_path, form):
    import demitasse as dm
    from demitasse import originals

    if form == "demi":
        dm.save(dm.load(*files), tmp_path / "x.demi")
    if form == "lossless":
        originals.store(*files, tmp_path / "x.demi")
    net = dm.load(*files) if form == "plain" else dm.load(tmp_path / "x.demi")
    expected = cv2.dnn.readNetFromCaffe(*map(str, files))
    found = dm.to_opencv(net)
    for each in (expected, found):
        each.setInput(PICTURE)
    np.testing.assert_array_equal(found.forward(), expected.forward())


def test_a_network_that_opencv_refuses_is_a_typed_error(files, monkeypatch):
    import demitasse as dm

    monkeypatch.setattr("demitasse.files.to_bytes", lambda net: (b"layer {", b"no weights"))
    with pytest.raises(NetError, match="OpenCV 4"):
        dm.to_opencv(dm.load(*files))


def test_a_type_that_opencv_does_not_know_is_refused_at_once(files):
    net = dm.load(*files)
    odd = net.with_layers(replace(layer, type="CropCenter") if layer.name == "prob" else layer for layer in net.layers)
    with pytest.raises(NetError, match="CropCenter"):
        dm.to_opencv(odd)


def test_a_network_without_weights_is_refused(files):
    with pytest.raises(NetError, match=r'layer "conv1" \(Convolution\) has no weights'):
        dm.to_opencv(dm.load(files[0]))
