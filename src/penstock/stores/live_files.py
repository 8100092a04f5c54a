"""The DuckDB files of live tables: one each, with a view over the files of the lake that count at the moment.

Such a file is small and never changed: the next one takes its place by a rename. Whoever has one open goes on reading
the rows of that moment; whoever opens it anew gets the newest.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from penstock.model.entries import Column
from penstock.queries.text import identifier, identifiers, literal
from penstock.schema import restore
from penstock.stores.objects import file_error, sync_file, sync_folder
from penstock.stores.port import Engine
from penstock.stores.release_tables import stored_rows
from penstock.stores.warehouse import STORAGE, explained
from penstock.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveShape:
    """What the rows of a live table's files are.

    Attributes:
        columns: The columns of the files.
        hidden: Those that readers do not see.
        key: The columns by which rows replace each other; empty: every row counts.
        rank: What two rows of one key are compared by.
        deleted: The column that says that a row's key is gone; empty: none does.
    """

    columns: tuple[Column, ...]
    hidden: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    rank: str = ""
    deleted: str = ""

    def newest(self, relation: str) -> str:
        """Return a query for the rows of a relation without those that another one of their key has replaced."""
        if not self.key:
            return f"SELECT * FROM {relation}"
        keys = identifiers(self.key)
        return f"SELECT * FROM {relation} QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY {self.rank} DESC) = 1"

    def serving(self, uris: Sequence[str]) -> str:
        """Return the query that readers are served: the rows that count, in the types that readers get."""
        files = self.newest(f"({stored_rows(self.columns, uris)})")
        shown = ", ".join(
            f"CAST({_plainly(column)} AS {column.type}) AS {identifier(column.name)}"
            for column in self.columns
            if column.name not in self.hidden
        )
        standing = f" WHERE NOT {identifier(self.deleted)}" if self.deleted else ""
        return f"SELECT {shown} FROM ({files}){standing}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveState:
    """What a live table of the lake shows at a moment, for who lets readers see it.

    Attributes:
        table: The table.
        shape: What its rows are.
        lake: What tells it from a table of that name in another lake; empty: not known.
        entry: The number of its newest entry.
        turn: How often its rows were replaced; in between they only come.
        loads: The newest load of the raw zone whose rows are in it, or were withdrawn.
        fresh: The files with all rows of loads after ``since``; as DuckDB reads them.
        since: The load behind which these rows begin.
        files: Returns the files of all rows.
        newest: Says whether no later entry has come.
    """

    table: str
    shape: LiveShape
    lake: str
    entry: int
    turn: int
    loads: int
    fresh: Callable[[], Sequence[str]]
    since: int
    files: Callable[[], Sequence[str]]
    newest: Callable[[], bool]


class LiveFiles:
    """The files of live tables beside one production warehouse.

    Args:
        warehouse: Path of the production warehouse.
        engine: The local DuckDB.
    """

    def __init__(self, warehouse: str | os.PathLike[str], engine: Engine) -> None:
        self.folder = folder_of(warehouse)
        self._engine = engine

    def path(self, table: str) -> Path:
        """Return where readers find a table."""
        return self.folder / f"{table}.duckdb"

    def serve(self, state: LiveState) -> None:
        """Let readers who open a table's file from now on see the rows of its files.

        Raises:
            DataError: A file cannot be read.
            TransientError: The disk is full.
            ConfigurationError: It cannot be written there.
        """
        table, query = state.table, state.shape.serving(state.files())
        alias = f"live_{secrets.token_hex(6)}"
        made = self.folder / f".{table}.{secrets.token_hex(4)}"
        try:
            with _explained(self.path(table)), self._engine.session() as connection:
                self.folder.mkdir(parents=True, exist_ok=True)
                connection.execute(
                    f"ATTACH {literal(str(made))} AS {alias} (TYPE duckdb, STORAGE_VERSION {literal(STORAGE)})"
                )
                try:
                    connection.execute(f"CREATE VIEW {alias}.main.{identifier(table)} AS {query}")
                finally:
                    connection.execute(f"DETACH {alias}")
                made.chmod(0o444)
                sync_file(str(made))
                os.replace(made, self.path(table))
                sync_folder(str(self.folder))
        except BaseException:
            for left in (made, made.with_name(f"{made.name}.wal")):
                with suppress(OSError):
                    left.unlink(missing_ok=True)
            raise

    def close(self) -> None:
        """Do nothing: files hold nothing."""


def folder_of(warehouse: str | os.PathLike[str]) -> Path:
    """Return the folder of live tables beside a production warehouse; it need not be there."""
    place = Path(warehouse).absolute()
    return place.parent / f"{place.stem}.live"


def tables_in(warehouse: str | os.PathLike[str]) -> dict[str, Path]:
    """Return the live tables beside a production warehouse, sorted, and their files."""
    return {path.stem: path for path in sorted(folder_of(warehouse).glob("*.duckdb")) if path.name[0] != "."}


def _plainly(column: Column) -> str:
    """Return the SQL of a column's value, without the engine's own function for JSON: readers have DuckDB alone."""
    name = identifier(column.name)
    return name if column.type == "JSON" else restore(name, column.type)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise explained(error, f"The live table's file {path}") from error
    except OSError as error:
        raise file_error(error, str(error.filename or path), "written") from error
