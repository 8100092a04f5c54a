"""Making a warehouse's file anew beside the old one, and exchanging the two by one rename.

What the lake cannot give (tables of others, views, macros) is carried over from the old file. A crash leaves the old
file or the new one, and at most ``{path}.rebuilt`` beside it: the next rebuild goes on with that one if it was begun
for the same tables and the old file has not changed since, else it is made anew.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence

import duckdb

from penstock.errors import DataError
from penstock.queries.text import identifier
from penstock.stores.filelock import locked
from penstock.stores.objects import file_error, sync_file, sync_folder
from penstock.stores.port import Engine
from penstock.stores.warehouse import OWN_SCHEMA, DuckDBTransaction, DuckDBWarehouse, explained

ENDING = ".rebuilt"
"""What the name of the file ends with that is being made."""

_MARK = f"{OWN_SCHEMA}.rebuilding"
_WAL = ".wal"


class Remaking:
    """One rebuild of a warehouse.

    Attributes:
        fresh: The file that is being made, a warehouse of its own; write to it in as many transactions as you like.
        damage: Why the old file cannot be read; None where it can, or there is none.
        resumed: Whether the rebuild goes on where another one ended.
        carried: The tables that were carried over, as ``schema.table``.

    Args:
        warehouse: The warehouse; nobody may write to it before ``exchange`` has returned.
        engine: The engine of the process.
        made: The tables of the schema ``main`` that are made anew, so not carried over.
    """

    def __init__(self, warehouse: DuckDBWarehouse, engine: Engine, made: Sequence[str]) -> None:
        self.fresh = DuckDBWarehouse(warehouse.path + ENDING, engine)
        self.damage: DataError | None = None
        self.resumed = False
        self.carried: tuple[str, ...] = ()
        self._old = warehouse
        self._engine = engine
        self._made = sorted({name.lower() for name in made})

    def begin(self, *, whole: bool) -> None:
        """Look at the old file, and carry over what is not made anew.

        Args:
            whole: Whether all that Penstock keeps in the file is made anew: then a damaged file is no obstacle.

        Raises:
            DataError: The old file is damaged, and only a part of it would be made anew.
        """
        self.damage = self._fold()
        if self.damage is None:
            mark = self._state()
            if self._marked(mark):
                self.resumed = True
                return
            self._clear()
            try:
                self._carry(mark)
            except DataError as error:
                self.damage = error
        if self.damage is None:
            return
        if not whole:
            raise DataError(
                f"What is not rebuilt cannot be carried over: {self.damage.what}",
                value=self.damage.value,
                remedy="Make everything anew: penstock rebuild, without a pipeline or table",
            ) from self.damage
        mark = self._state()
        self.resumed = self._marked(mark)
        if not self.resumed:
            self._clear()
            with self.fresh.writing() as transaction:
                self._mark(transaction, mark)

    def exchange(self, kept: str) -> str | None:
        """Put the new file in the place of the old one; return where a damaged old file is kept.

        Args:
            kept: What is added to the name of a damaged old file, which is kept beside the new one.
        """
        with self.fresh.writing() as transaction:
            transaction.execute(f"DROP TABLE IF EXISTS {_MARK}")
        path = self._old.path
        name = f"{path}.damaged-{kept}"
        aside = name if self.damage is not None and os.path.exists(path) else None
        with locked(self._old.lock_path, self._old.wait()), _disk(path):
            sync_file(self.fresh.path)
            if aside is not None:
                os.link(path, aside)
            # Changes to the old file must never be played into the new one.
            if os.path.exists(path + _WAL):
                os.replace(path + _WAL, name + _WAL)
            os.replace(self.fresh.path, path)
            sync_folder(os.path.dirname(path))
        for leftover in (path + ENDING + _WAL, self.fresh.lock_path):
            with contextlib.suppress(OSError):
                os.remove(leftover)
        return aside

    def _fold(self) -> DataError | None:
        """Fold changes that a crash left beside the old file into it; return why it cannot be opened."""
        if not os.path.exists(self._old.path + _WAL):
            return None
        try:
            with self._old.writing():
                return None
        except DataError as error:
            return error

    def _state(self) -> str:
        """Return what tells whether a rebuild that was begun can go on: the tables, and the old file as it is."""
        found: list[int] = []
        with contextlib.suppress(OSError):
            status = os.stat(self._old.path)
            found = [status.st_ino, status.st_size, status.st_mtime_ns]
        return json.dumps([self._made, found])

    def _marked(self, mark: str) -> bool:
        """Say whether the file that a rebuild left can be gone on with."""
        if not os.path.exists(self.fresh.path):
            return False
        try:
            with self.fresh.reading() as transaction:
                named = [
                    name
                    for (name,) in transaction.execute(
                        "SELECT table_name FROM duckdb_tables() "
                        "WHERE database_name = current_database() AND schema_name = ? AND table_name = ?",
                        list(_MARK.split(".")),
                    )
                ]
                if not named or transaction.execute(f"SELECT mark FROM {_MARK}") != [(mark,)]:
                    return False
                ((damage,),) = transaction.execute(f"SELECT damage FROM {_MARK}")
        except DataError:
            return False
        if damage is not None and self.damage is None:
            self.damage = DataError(damage)
        return True

    def _clear(self) -> None:
        for leftover in (self.fresh.path, self.fresh.path + _WAL):
            with contextlib.suppress(FileNotFoundError), _disk(leftover):
                os.remove(leftover)

    def _carry(self, mark: str) -> None:
        """Copy the shape of everything, then the rows of what is not made anew."""
        with self._old.reading() as old, self.fresh.writing() as new:
            source = old.database
            with _reading(self._old.path):
                new.execute(f"COPY FROM DATABASE {source} TO {new.database} (SCHEMA)")
            carried = []
            for schema, table in _tables(new):
                name = f"{identifier(schema)}.{identifier(table)}"
                owner = table.partition(" ")[2] if schema == OWN_SCHEMA else ""
                if owner and owner.lower() in self._made:
                    # What stands beside a table that is made anew is made anew with it.
                    new.execute(f"DROP TABLE {name}")
                elif owner:
                    with _reading(self._old.path):
                        new.execute(f"INSERT INTO {name} SELECT * FROM {source}.{name}")
                elif schema == OWN_SCHEMA:
                    where = "WHERE NOT list_contains(?, lower(table_name))"
                    with _reading(self._old.path):
                        new.execute(f"INSERT INTO {name} SELECT * FROM {source}.{name} {where}", [self._made])
                elif schema == "main" and table.lower() in self._made:
                    new.execute(f"DROP TABLE {name}")
                else:
                    with _reading(self._old.path):
                        new.execute(f"INSERT INTO {name} SELECT * FROM {source}.{name}")
                    carried.append(f"{schema}.{table}")
            self._mark(new, mark)
            self.carried = tuple(carried)

    def _mark(self, transaction: DuckDBTransaction, mark: str) -> None:
        transaction.execute(f"CREATE SCHEMA IF NOT EXISTS {OWN_SCHEMA}")
        damage = str(self.damage) if self.damage is not None else None
        transaction.execute(
            f"CREATE OR REPLACE TABLE {_MARK} AS SELECT CAST(? AS VARCHAR) AS mark, CAST(? AS VARCHAR) AS damage",
            [mark, damage],
        )


def _tables(transaction: DuckDBTransaction) -> list[tuple[str, str]]:
    return [
        (str(schema), str(table))
        for schema, table in transaction.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() "
            "WHERE database_name = current_database() AND NOT temporary ORDER BY table_oid"
        )
    ]


@contextlib.contextmanager
def _reading(path: str) -> Iterator[None]:
    """Name the old file in what DuckDB says of it."""
    try:
        yield
    except duckdb.Error as error:
        raise explained(error, f"The warehouse {path}") from error


@contextlib.contextmanager
def _disk(path: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise file_error(error, path, "exchanged") from error
