"""Databases that Caffe trains on: LMDB and LevelDB, keys in order, values of bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from types import TracebackType
from typing import Any, ClassVar, Literal
from weakref import WeakValueDictionary

from demitasse.atomic import new_folder
from demitasse.datasets.datum import Datum, parse_datum
from demitasse.errors import FileError, MissingExtraError, OptionError

__all__ = ["Backend", "Database", "backend_of", "write_database"]

Backend = Literal["LMDB", "LEVELDB"]

_LARGEST = 1 << 40
"""Bytes that an LMDB may grow to; no more than address space is taken for it."""


class Database:
    """A database, open for reading. Records are asked for by their place in the order of keys; the next one after the
    last is cheap. FileError for what is no database, or has no records."""

    def __init__(self, path: Path, backend: Backend | None = None) -> None:
        self.path = path
        self.backend = backend or backend_of(path)
        check_folder(path, self.backend)
        self._open: LmdbRecords | LevelRecords = LmdbRecords(path) if self.backend == "LMDB" else LevelRecords(path)
        if not len(self):
            raise FileError(f"{path}: the database is empty")

    def __len__(self) -> int:
        return self._open.count

    def __enter__(self) -> Database:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files."""
        self._open.close()

    def datums(self, start: int = 0) -> Iterator[Datum]:
        """Datums without end, from a place on, beginning again after the last. WireError names a damaged record."""
        place = start % len(self)
        while True:
            for key, value in self._open.records(place):
                yield parse_datum(value, f"{self.path}: record {place} ({key.decode('utf-8', 'backslashreplace')})")
                place += 1
            place = 0


class LmdbEnvironment:
    """An LMDB, open. LMDB allows one in a process for each file: whoever reads the same file shares it."""

    _shared: ClassVar[WeakValueDictionary[tuple[int, int], LmdbEnvironment]] = WeakValueDictionary()
    _opening: ClassVar[Lock] = Lock()

    def __init__(self, path: Path) -> None:
        self.inner: Any = import_lmdb().open(
            str(path), readonly=True, lock=False, readahead=False, meminit=False, subdir=path.is_dir()
        )

    @classmethod
    def of(cls, path: Path) -> LmdbEnvironment:
        """The one for that path."""
        file = (path / "data.mdb" if path.is_dir() else path).stat()
        with cls._opening:
            found = cls._shared.get((file.st_dev, file.st_ino))
            if found is None:
                found = cls._shared[file.st_dev, file.st_ino] = cls(path)
        return found

    def __del__(self) -> None:
        if hasattr(self, "inner"):
            self.inner.close()


class LmdbRecords:
    """Keys and values of an LMDB."""

    def __init__(self, path: Path) -> None:
        lmdb = import_lmdb()
        try:
            self._shared: LmdbEnvironment | None = LmdbEnvironment.of(path)
            self._environment: Any = self._shared.inner
            self.count: int = self._environment.stat()["entries"]
        except (lmdb.Error, OSError) as error:
            raise FileError(f"{path}: not an LMDB database that can be read: {error}") from None
        self._path, self._failure = path, lmdb.Error

    def records(self, start: int) -> Iterator[tuple[bytes, bytes]]:
        """From a place on."""
        try:
            with self._environment.begin() as transaction, closing(transaction.cursor()) as cursor:
                walk = iter(cursor.iternext())
                for place, (key, value) in enumerate(walk):
                    if place >= start:
                        yield bytes(key), bytes(value)
        except self._failure as error:
            raise FileError(f"{self._path}: the database is damaged: {error}") from None

    def close(self) -> None:
        """Let go of the files."""
        self._environment = self._shared = None


class LevelRecords:
    """Keys and values of a LevelDB.

    LevelDB rewrites its folder whenever it opens it. So that an input is never changed, it opens another one, with
    links to the tables and copies of the rest, which is small.
    """

    def __init__(self, path: Path) -> None:
        plyvel = import_plyvel()
        self._folder = TemporaryDirectory(prefix="demitasse-")
        try:
            mirror(path, Path(self._folder.name))
            self._database: Any = plyvel.DB(self._folder.name, create_if_missing=False)
            with closing(self._database.iterator(include_value=False)) as keys:
                self.count = sum(1 for _ in keys)
        except (plyvel.Error, OSError) as error:
            raise FileError(f"{path}: not a LevelDB database that can be read: {error}") from None
        self._path, self._failure = path, plyvel.Error

    def records(self, start: int) -> Iterator[tuple[bytes, bytes]]:
        """From a place on."""
        try:
            with closing(self._database.iterator(verify_checksums=True)) as walk:
                for place, (key, value) in enumerate(walk):
                    if place >= start:
                        yield bytes(key), bytes(value)
        except self._failure as error:
            raise FileError(f"{self._path}: the database is damaged: {error}") from None

    def close(self) -> None:
        """Let go of the files."""
        self._database.close()
        self._folder.cleanup()


def mirror(path: Path, folder: Path) -> None:
    """A LevelDB's files in another folder: tables as links, since they are never written to."""
    for file in path.iterdir():
        if file.suffix in (".ldb", ".sst"):
            (folder / file.name).symlink_to(file.resolve())
        elif file.name not in ("LOCK", "LOG", "LOG.old"):
            (folder / file.name).write_bytes(file.read_bytes())


def backend_of(path: Path) -> Backend:
    """Which kind of database a folder holds. FileError if neither."""
    if (path / "data.mdb").exists() or path.is_file():
        return "LMDB"
    if (path / "CURRENT").exists():
        return "LEVELDB"
    raise FileError(f"{path}: {'holds no LMDB or LevelDB database' if path.exists() else 'there is no such database'}")


def check_folder(path: Path, backend: Backend) -> None:
    """FileError for a database that is not there, or is of the other kind."""
    if not path.exists():
        raise FileError(f"{path}: there is no such database")
    if backend_of(path) != backend:
        raise FileError(f"{path}: is not the {backend} database that is asked for, but {backend_of(path)}")


def write_database(path: Path, datums: Iterable[Datum], backend: Backend = "LMDB") -> int:
    """A new LMDB of these datums under keys of eight digits, as Caffe's tools number them; how many there are.

    It appears when it is whole. OptionError for another kind: LMDB is what is written. FileError if something is there
    already."""
    if backend != "LMDB":
        raise OptionError("only LMDB databases are written")
    if path.exists():
        raise FileError(f"{path}: exists already; a database is never changed: choose another name")
    lmdb = import_lmdb()
    count = 0
    try:
        with (
            new_folder(path) as folder,
            lmdb.open(str(folder), map_size=_LARGEST, writemap=False, sync=False) as environment,
        ):
            walk = iter(datums)
            while chunk := list(islice(walk, 1000)):
                with environment.begin(write=True) as transaction:
                    for datum in chunk:
                        transaction.put(f"{count:08d}".encode(), datum.to_bytes(), append=True)
                        count += 1
            environment.sync(True)
    except (lmdb.Error, OSError) as error:
        raise FileError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}") from None
    return count


def import_lmdb() -> Any:
    """The lmdb module. MissingExtraError if it is absent."""
    try:
        import lmdb
    except ImportError:
        raise MissingExtraError("lmdb", "train", "an LMDB database") from None
    return lmdb


def import_plyvel() -> Any:
    """The plyvel module. MissingExtraError if it is absent."""
    try:
        import plyvel
    except ImportError:
        raise MissingExtraError("plyvel", "train", "a LevelDB database") from None
    return plyvel
