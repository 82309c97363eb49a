"""Files that appear whole or not at all: written under a temporary name, synced, renamed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from demitasse.errors import FileError

__all__ = ["replacing", "replacing_all"]


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A new file, open for writing and seeking, that takes the place of ``path`` when the block ends without error.

    It is beside the target until then, and leaves with any exception, Ctrl-C included. A link is followed: the file
    that it points to is replaced; a pipe or a device never is. FileError where that is so, or the system says no.
    """
    with replacing_all(path) as (file,):
        yield file


@contextmanager
def replacing_all(*paths: str | os.PathLike[str]) -> Iterator[tuple[BinaryIO, ...]]:
    """New files as of `replacing`, that take their places one right after the other, once all are whole on the disk."""
    pending = [_Pending(path) for path in paths]
    one = pending[0]
    try:
        with ExitStack() as opened:
            files = []
            for one in pending:
                if one.target.exists() and not (one.target.is_file() or one.target.is_dir()):
                    raise FileError(f"{one.path}: cannot be written: it is a pipe or a device, not a file")
                files.append(opened.enter_context(one.temporary.open("xb")))
            yield tuple(files)
            for file in files:
                file.flush()
                os.fsync(file.fileno())
        for one in pending:
            one.temporary.replace(one.target)
    except BaseException as error:
        for left in pending:
            with suppress(OSError):
                left.temporary.unlink()
        if isinstance(error, OSError):
            raise FileError(f"{one.path}: cannot be written: {error.strerror or error}") from None
        raise
    for folder in {one.target.parent for one in pending}:
        _sync_folder(folder)


class _Pending:
    """A file as the caller named it, where it will be, and where it is until then."""

    __slots__ = ("path", "target", "temporary")

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path
        self.target = Path(os.path.realpath(path))
        self.temporary = self.target.with_name(f".{self.target.name}.{secrets.token_hex(4)}.tmp")


def _sync_folder(folder: Path) -> None:
    """The rename itself reaches the disk; a file system that has no such call is left alone."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
