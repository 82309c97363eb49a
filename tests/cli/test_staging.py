from pathlib import Path

import pytest

from demitasse.cli.staging import scratch, staged
from demitasse.errors import FileError, VerificationError


def interrupted(targets: list[Path], error: BaseException) -> None:
    """Writes to every target, then fails."""
    with staged(targets) as paths:
        for path in paths:
            path.write_text("new")
        raise error


def test_verified_files_get_their_names(tmp_path):
    targets = [tmp_path / "new" / "folder" / "a", tmp_path / "b"]
    with staged(targets) as paths:
        for path in paths:
            path.write_text(path.name)
        assert not any(target.exists() for target in targets)
    assert [target.read_text() for target in targets] == ["a.unverified", "b.unverified"]
    assert sorted(path.name for path in tmp_path.rglob("*.unverified")) == []


def test_an_old_file_is_replaced_only_by_a_verified_one(tmp_path):
    target = tmp_path / "a"
    target.write_text("old")
    with pytest.raises(VerificationError, match=r"off \(kept as .*a\.unverified\)"):
        interrupted([target], VerificationError("off"))
    assert target.read_text() == "old"
    assert (tmp_path / "a.unverified").read_text() == "new"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), FileError("x"), ValueError()])
def test_any_other_end_leaves_nothing(tmp_path, error):
    with pytest.raises(type(error)):
        interrupted([tmp_path / "d" / "a"], error)
    assert list(tmp_path.iterdir()) == []


def test_folders_that_were_there_stay(tmp_path):
    folder = tmp_path / "d"
    folder.mkdir()
    with pytest.raises(ValueError):
        interrupted([folder / "e" / "a"], ValueError())
    assert list(tmp_path.rglob("*")) == [folder]


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="cannot be made"), staged([tmp_path / "file" / "d" / "a"]):
        pass


def test_a_dry_run_leaves_nothing():
    with scratch([Path("x.demi")]) as (path,):
        path.write_text("something")
        assert path.name == "x.demi"
    assert not path.parent.exists()
