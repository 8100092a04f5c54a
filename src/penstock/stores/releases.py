"""The DuckDB files of releases: built beside the warehouse, put in place by a rename, kept for a while.

The folder ``{warehouse stem}.releases`` holds one file per kept release, read-only and never changed again. The
warehouse itself is a hard link to one of them (a copy where the disk knows no links), so that a reader who holds
the old file goes on reading it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from penstock.errors import BugError, ConflictError
from penstock.queries.text import identifier, literal
from penstock.stores.filelock import Tell, Wait, locked
from penstock.stores.objects import file_error, sync_file, sync_folder
from penstock.stores.port import Engine
from penstock.stores.release_tables import ServedTable, table_names, write_tables
from penstock.stores.warehouse import STORAGE, explained

PATIENCE = 60.0
"""Seconds to wait for another process that promotes or rolls back."""
STAGED = "staged-"
"""How the names of files begin that wait for the promotion of a candidate."""
_NAME = re.compile(r"(\d+)\.duckdb")
_REFLINK = 0x40049409


class ReleaseFolder:
    """The kept files of releases beside one production warehouse.

    Args:
        warehouse: Path of the file that readers open.
        engine: The local DuckDB, which builds and verifies the files.
        on_wait: Called with one sentence when another process has been promoting for a second.
        patience: Seconds after which waiting for it ends with TransientError.
    """

    def __init__(
        self, warehouse: str | os.PathLike[str], engine: Engine, on_wait: Tell | None = None, patience: float = PATIENCE
    ) -> None:
        self.warehouse = Path(warehouse).absolute()
        self.folder = self.warehouse.parent / f"{self.warehouse.stem}.releases"
        self._engine = engine
        self._on_wait = on_wait
        self._patience = patience

    @property
    def shown(self) -> str:
        """The file that readers open, for messages."""
        return str(self.warehouse)

    def occupied(self) -> bool:
        """Say whether there is a warehouse."""
        return self.warehouse.exists()

    def serves(self, name: str) -> bool:  # noqa: ARG002
        """Say whether there is a warehouse: which release it is, only opening it would tell."""
        return self.warehouse.exists()

    @contextmanager
    def holding(self, patience: float | None = None) -> Iterator[None]:
        """Keep other processes from changing production until the end; the system frees the lock if we die.

        Args:
            patience: Seconds to wait; None takes the folder's.

        Raises:
            TransientError: Another process holds it for too long.
            ConfigurationError: The folder cannot be made or locked.
        """
        with _explained(f"The folder {self.folder}"):
            self.folder.mkdir(parents=True, exist_ok=True)
        wait = Wait(f"Production ({self.warehouse})", self._patience if patience is None else patience, self._on_wait)
        with locked(f"{self.folder}.lock", wait):
            yield

    def names(self) -> tuple[str, ...]:
        """Return the names of the finished files, oldest release first."""
        if not self.folder.is_dir():
            return ()
        found = [name for name in os.listdir(self.folder) if _NAME.fullmatch(name)]
        return tuple(sorted(found, key=number_of))

    def staged(self) -> tuple[str, ...]:
        """Return the names of the files that were built for candidates before their promotion."""
        if not self.folder.is_dir():
            return ()
        return tuple(sorted(name for name in os.listdir(self.folder) if name.startswith(STAGED)))

    def leftovers(self, newest: int) -> tuple[Path, ...]:
        """Return what attempts that never committed left behind: temporary files, and files of later releases."""
        found = [self.folder / name for name in self.names() if number_of(name) > newest]
        if self.folder.is_dir():
            found += [path for path in self.folder.iterdir() if path.name.startswith(".")]
        found += [path for path in (self._next(), _log(self._next())) if path.exists()]
        return tuple(found)

    def exists(self, name: str) -> bool:
        """Say whether a release's file is kept."""
        return (self.folder / name).is_file()

    def build(self, name: str, tables: Sequence[ServedTable], base: str | None, kept: Collection[str]) -> None:
        """Make a release's file; it gets its name only once it is whole, checkpointed, verified and durable.

        Args:
            name: Of the file.
            tables: All tables of the release.
            base: The file to begin from as a copy; None begins empty.
            kept: Tables taken over from ``base`` as they are; the others are amended or written anew.

        Raises:
            DataError: A data file cannot be read.
            TransientError: The disk is full.
            ConfigurationError: It cannot be written there; the memory does not suffice.
            BugError: The file does not hold the rows that it should.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / f".{name}.building"
        _remove(temporary)
        try:
            with _explained(f"Building the DuckDB file {self.folder / name}"):
                if base is not None:
                    _copy(self.folder / base, temporary)
                self._write(temporary, tables, kept if base is not None else ())
                self.verify(temporary, tables)
                temporary.chmod(0o444)
                sync_file(str(temporary))
                os.replace(temporary, self.folder / name)
                sync_folder(str(self.folder))
        except BaseException:
            with suppress(OSError):
                _remove(temporary)
            raise

    def link(self, name: str, source: str) -> None:
        """Give an earlier release's file a second name, for a release that has the same tables."""
        temporary = self.folder / f".{name}.building"
        _remove(temporary)
        with _explained(f"Making the DuckDB file {self.folder / name}"):
            link_or_copy(self.folder / source, temporary)
            os.replace(temporary, self.folder / name)
            sync_folder(str(self.folder))

    def verify(self, file: Path | str, tables: Sequence[ServedTable]) -> None:
        """Open a file read-only and compare its tables and row counts with what they should be.

        Raises:
            BugError: They differ; nothing of it may be published.
        """
        path = self.folder / file
        if _log(path).exists():
            raise BugError(f"The release's file {path} was left with a write-ahead log")
        with (
            _explained(f"The DuckDB file {path}"),
            self._attached(path, "TYPE duckdb, READ_ONLY") as (connection, alias),
        ):
            listed = connection.execute(
                "SELECT table_name FROM duckdb_tables() WHERE database_name = ? ORDER BY 1", [alias]
            ).fetchall()
            expected = {table.name: table.rows for table in tables}
            found = {}
            for (table,) in listed:
                counted = connection.execute(f"SELECT count(*) FROM {alias}.main.{identifier(table)}").fetchone()
                found[table] = counted[0] if counted else 0
        wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        if wrong:
            first = wrong[0]
            raise BugError(
                f"Table {first!r} of the release's file {path.name} should have "
                f"{_rows(expected.get(first))}, but has {_rows(found.get(first))}; nothing was published"
            )

    def refuse_foreign(self) -> None:
        """Raise ConflictError where the warehouse has a write-ahead log: somebody has written into it."""
        log = _log(self.warehouse)
        if log.exists():
            raise ConflictError(
                f"The production warehouse {self.warehouse} has a write-ahead log beside it ({log.name}): "
                "some program has opened it for writing, or died doing so",
                remedy="Close that program, take what it wrote elsewhere, remove the log, then run the command again",
            )

    def swap(self, name: str) -> None:
        """Put a release's file in the warehouse's place by one rename; the same call again changes nothing.

        Raises:
            ConflictError: The warehouse has a write-ahead log.
        """
        self.refuse_foreign()
        following = self._next()
        with _explained(f"Replacing the warehouse {self.warehouse}"):
            _remove(following)
            link_or_copy(self.folder / name, following)
            os.replace(following, self.warehouse)
            # Renaming one link onto another of the same file does nothing and leaves both names (POSIX).
            following.unlink(missing_ok=True)
            sync_folder(str(self.warehouse.parent))

    def remove(self, path: Path | str) -> None:
        """Delete a kept or left-over file; quiet if it is not there."""
        _remove(self.folder / path)

    def _write(self, path: Path, tables: Sequence[ServedTable], kept: Collection[str]) -> None:
        with self._attached(path, f"TYPE duckdb, STORAGE_VERSION {literal(STORAGE)}") as (connection, alias):
            write_tables(connection, alias, tables, kept)

    def _counts(self, path: Path) -> dict[str, int]:
        with self._attached(path, "TYPE duckdb, READ_ONLY") as (connection, alias):
            found = {}
            for table in table_names(connection, alias):
                counted = connection.execute(f"SELECT count(*) FROM {alias}.main.{identifier(table)}").fetchone()
                found[table] = counted[0] if counted else 0
            return found

    @contextmanager
    def _attached(self, path: Path, options: str) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
        alias = f"release_{secrets.token_hex(6)}"
        with self._engine.session(plain=options.endswith("READ_ONLY")) as connection:
            connection.execute(f"ATTACH {literal(str(path))} AS {alias} ({options})")
            try:
                yield connection, alias
            finally:
                with suppress(duckdb.Error):
                    connection.execute(f"DETACH {alias}")

    def _next(self) -> Path:
        return self.warehouse.parent / f".{self.warehouse.name}.next"


def number_of(name: str) -> int:
    """Return the release number in the name of a finished file."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise BugError(f"{name!r} is not the name of a release's file")
    return int(found[1])


def _log(path: Path) -> Path:
    return path.with_name(path.name + ".wal")


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    _log(path).unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    """Copy a file: sharing its blocks where the disk can (a reflink), else byte by byte."""
    with source.open("rb") as old, target.open("wb") as new:
        try:
            fcntl.ioctl(new.fileno(), _REFLINK, old.fileno())
        except OSError:
            shutil.copyfile(source, target)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name; where the disk knows no links, make a durable read-only copy."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOSPC, errno.EROFS):
            raise
        _copy(source, target)
        target.chmod(0o444)
        sync_file(str(target))


def _rows(count: int | None) -> str:
    return "no such table" if count is None else f"{count} rows"


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn what DuckDB and the disk raise into our errors."""
    try:
        yield
    except duckdb.Error as error:
        raise explained(error, what) from error
    except OSError as error:
        raise file_error(error, str(error.filename or what), "written") from error
