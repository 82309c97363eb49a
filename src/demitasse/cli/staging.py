"""Outputs that get their names once they are verified.

Until then a file is called ``NAME.unverified``. It keeps that name if the comparison is beyond tolerance, and leaves
with any other error, Ctrl-C included; folders that were made for it leave, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from demitasse.atomic import rename_together
from demitasse.errors import FileError, VerificationError

__all__ = ["scratch", "staged"]


@contextmanager
def staged(targets: Sequence[Path]) -> Iterator[list[Path]]:
    """Paths to write to, renamed to the targets when the block ends without an error.

    VerificationError within the block: the files stay, and the message says where.
    """
    waiting = [target.with_name(target.name + ".unverified") for target in targets]
    made = [folder for target in targets for folder in missing_folders(target.parent)]
    try:
        for target in targets:
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise FileError(f"{target.parent}: cannot be made: {error.strerror}") from None
        yield waiting
        rename_together(list(zip(waiting, targets, strict=True)))
    except VerificationError as error:
        kept = ", ".join(str(path) for path in waiting if path.exists())
        raise VerificationError(f"{error}{f' (kept as {kept})' if kept else ''}", error.details) from None
    except BaseException:
        for path in waiting:
            with suppress(OSError):
                path.unlink()
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
        raise


def missing_folders(folder: Path) -> list[Path]:
    """The folders that are not there yet, innermost first."""
    found = []
    while not folder.exists():
        found.append(folder)
        folder = folder.parent
    return found


@contextmanager
def scratch(targets: Sequence[Path]) -> Iterator[list[Path]]:
    """Paths of the same names in a folder that is gone after the block: for a dry run."""
    with TemporaryDirectory(prefix="demitasse-") as folder:
        yield [Path(folder) / target.name for target in targets]
