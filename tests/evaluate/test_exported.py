"""An exported model beside its network: what is compared, and what is noticed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("cv2")
pytest.importorskip("torch")

from demitasse.errors import VerificationError  # noqa: E402
from demitasse.evaluate.exported import as_exported, check_pair, compared, same_rows, under_its_names  # noqa: E402
from demitasse.evaluate.models import Subject  # noqa: E402
from demitasse.evaluate.shown import Shown  # noqa: E402
from demitasse.onnx import Exported, to_onnx  # noqa: E402
from demitasse.runtime.onnxruntime import run_onnx  # noqa: E402
from filled_networks import conv, data, filled, layer  # noqa: E402

TEXT = data(1, 3, 12, 10) + conv("one", "data") + conv("two", "one") + layer("Softmax", "prob", "two")
FEW = Shown(count=2)


def export(folder: Path, text: str = TEXT, **options: object) -> tuple[Subject, Exported]:
    net = filled(text)
    return Subject(net), to_onnx(net, folder / "a.onnx", **options)  # type: ignore[arg-type]


def test_outputs_are_compared_where_they_say_something(tmp_path: Path) -> None:
    subject, done = export(tmp_path)
    found = compared(subject, done, (), FEW, threads=1)
    assert not found.skipped
    assert {error.name for error in found.outputs} == {"prob", "two"}
    assert max(error.relative for error in found.outputs) < 1e-4


def test_what_was_cut_off_is_not_missed_and_the_middle_is_compared(tmp_path: Path) -> None:
    subject, done = export(tmp_path, until=["two", "one"])
    found = compared(subject, done, ("two", "one"), FEW, threads=1)
    assert not found.missing
    assert {error.name for error in found.outputs} == {"one", "two"}


def test_a_fixed_batch_is_fed_as_such(tmp_path: Path) -> None:
    subject, done = export(tmp_path, batch=3)
    found = compared(subject, done, (), FEW, threads=1)
    assert found.pictures == "2 generated pictures"
    assert max(error.relative for error in found.outputs) < 1e-4


def test_other_sizes_are_compared_in_those_sizes(tmp_path: Path) -> None:
    subject, done = export(tmp_path, shapes={"data": (1, 3, 20, 16)})
    assert as_exported(subject, done, ()).inputs == {"data": (1, 3, 20, 16)}
    assert max(error.relative for error in compared(subject, done, (), FEW, threads=1).outputs) < 1e-4


def test_a_network_that_was_exported_whole_runs_from_its_own_files(tmp_path: Path) -> None:
    subject, done = export(tmp_path)
    assert as_exported(subject, done, ()) is subject


def changed(done: Exported, kind: str, **attributes: object) -> None:
    """The file with an operator's attributes changed."""
    model = onnx.load(done.path)
    node = next(node for node in model.graph.node if node.op_type == kind)
    for name, value in attributes.items():
        kept = [attribute for attribute in node.attribute if attribute.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, onnx.helper.make_attribute(name, value)])
    onnx.save(model, done.path)


def test_another_number_is_noticed(tmp_path: Path) -> None:
    subject, done = export(tmp_path, TEXT.replace("Softmax", "ELU"))
    changed(done, "Elu", alpha=1.01)
    found = compared(subject, done, (), FEW, threads=1)
    assert found.beyond(1e-4)


def test_pictures_that_are_mixed_up_with_one_another_are_noticed(tmp_path: Path) -> None:
    subject, done = export(tmp_path)
    check_pair(subject, done, FEW, 1)
    changed(done, "Softmax", axis=0)
    with pytest.raises(VerificationError, match="for two inputs at once"):
        check_pair(subject, done, FEW, 1)


def test_a_second_file_is_found_under_the_name_that_the_model_calls_it(tmp_path: Path) -> None:
    target, data_file = tmp_path / "a.onnx", tmp_path / "a.onnx.data"
    waiting = [path.with_name(f"{path.name}.unverified") for path in (target, data_file)]
    done = to_onnx(filled(TEXT), waiting[0], data=waiting[1], location=data_file.name, external_above=0)
    with under_its_names(done, target, data_file) as named:
        assert (named.path.name, named.data and named.data.name) == ("a.onnx", "a.onnx.data")
        assert run_onnx(named.path, [{"data": np.zeros((1, 3, 12, 10))}], threads=1)[0]["prob"].size
    assert sorted(tmp_path.iterdir()) == sorted(waiting)
    with under_its_names(replace(done, data=None), target, data_file) as named:
        assert named.path == waiting[0]


def test_rows_are_the_same_up_to_rounding() -> None:
    rows = np.array([[[[0, 1, 0.9, 1e9, 2, 3, 4]]]], np.float32)
    assert same_rows(rows, rows * (1 + 1e-5))
    assert not same_rows(rows, rows * 1.01)
    assert not same_rows(rows, np.concatenate([rows, rows], 2))
