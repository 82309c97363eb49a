"""Files that appear whole or not at all: written under a temporary name, synced, renamed.

Files that belong together never stand beside each other one old and one new, even if the process is killed between two
renames: see `rename_together`. What a killed process left behind leaves when the same file is written again.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from demitasse.errors import FileError

__all__ = ["new_folder", "rename_together", "replacing", "replacing_all"]


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
                remove_stale(one.target)
                files.append(opened.enter_context(one.temporary.open("xb")))
            yield tuple(files)
            for file in files:
                file.flush()
                os.fsync(file.fileno())
        rename_together([(one.temporary, one.target) for one in pending])
    except BaseException as error:
        for left in pending:
            with suppress(OSError):
                left.temporary.unlink()
        if isinstance(error, OSError):
            refused = [own.path for own in pending if str(own.target) in (error.filename, error.filename2)]
            raise FileError(f"{[*refused, one.path][0]}: cannot be written: {error.strerror or error}") from None
        raise
    for folder in {one.target.parent for one in pending}:
        _sync_folder(folder)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """An empty folder to fill that becomes ``path``, which is not there yet, when the block ends without error.

    It leaves with any exception, Ctrl-C included, and so do the folders around it that were made for it.
    """
    target = Path(os.path.realpath(path))
    made = []
    above = target.parent
    while not above.exists():
        made.append(above)
        above = above.parent
    waiting = temporary(target)
    try:
        waiting.mkdir(parents=True)
        yield waiting
        waiting.rename(target)
    except BaseException:
        shutil.rmtree(waiting, ignore_errors=True)
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
        raise
    _sync_folder(target.parent)


class _Pending:
    """A file as the caller named it, where it will be, and where it is until then."""

    __slots__ = ("path", "target", "temporary")

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path
        self.target = Path(os.path.realpath(path))
        self.temporary = temporary(self.target)


def rename_together(moves: Sequence[tuple[Path, Path]]) -> None:
    """Gives files that belong together their names, from (now, then) pairs; all are whole on the disk already.

    The first target is the last to appear: an older file of that name steps aside before the others are replaced. A
    process that is killed here leaves all the old files, all the new ones, or a set without its first: never old and
    new ones mixed. OSError if the system refuses; the first target is then what it was.
    """
    (last, *others) = moves
    target = last[1]
    aside = temporary(target) if others and target.is_file() else None
    if aside is not None:
        target.replace(aside)
    try:
        for now, then in (*others, last):
            now.replace(then)
    except BaseException:
        if aside is not None and not target.exists():
            aside.replace(target)
        raise
    if aside is not None:
        with suppress(OSError):
            aside.unlink()


def temporary(target: Path) -> Path:
    """A name beside the target that says who may remove it: this process on this machine, or anybody after its end."""
    return target.with_name(f".{target.name}.{machine()}-{os.getpid()}-{secrets.token_hex(4)}.tmp")


def machine() -> str:
    """Tells machines apart that share a folder: a process number means something on one of them only."""
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def remove_stale(target: Path) -> None:
    """Removes temporary files of this target that a process of this machine left that no longer runs."""
    ours = re.compile(rf"\.{re.escape(target.name)}\.{machine()}-(\d+)-[0-9a-f]{{8}}\.tmp")
    with suppress(OSError):
        for path in target.parent.iterdir():
            match = ours.fullmatch(path.name)
            if match and not alive(int(match[1])):
                with suppress(OSError):
                    path.unlink()


def alive(process: int) -> bool:
    """Whether a process runs, as far as can be told."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # somebody else's, or nobody can say
    return True


def _sync_folder(folder: Path) -> None:
    """The rename itself reaches the disk; a file system that has no such call is left alone."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
