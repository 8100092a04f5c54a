"""The port to a database: an open connection that can be asked, and streams the rows of one query as Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from penstock.extract.port import SourceFigures, TableDescription
from penstock.model.specs import SourceTable
from penstock.values import dataclass

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseColumn:
    """How a column is read.

    Attributes:
        name: Its name.
        spelt: Its type as the database spells it.
        expression: What is selected.
        target: The Arrow type that its values get.
        cursor: The ``cursor_type`` of its values (see ``extract.cursors``); None where they have no useful order.
        guard: The condition of a value that ``target`` cannot hold; empty where there can be none.
        text: What is selected instead where there is such a value.
        odd: What such a value is, for the note.
        note: What is said of the column in any case; empty for nothing.
    """

    name: str
    spelt: str
    expression: str
    target: pa.DataType
    cursor: str | None = None
    guard: str = ""
    text: str = ""
    odd: str = ""
    note: str = ""

    def as_text(self) -> DatabaseColumn:
        """Return the column read as the database's own text, for a load with a value that its type cannot hold."""
        import pyarrow as pa

        note = f"{self.name} ({self.spelt}) holds {self.odd}; it is read as text"
        return replace(self, expression=self.text, target=pa.string(), guard="", note=note)


@dataclass(frozen=True, slots=True)
class Relation:
    """What is read.

    Attributes:
        sql: What stands after FROM.
        name: What it is called in messages.
        columns: Its columns, in order.
        row_bytes: About how many bytes a row has; None where the database cannot say.
        note: What is said of this reading in any case; empty for nothing.
        steady: True for a table whose rows are the same however often one snapshot is asked for them.
    """

    sql: str
    name: str
    columns: tuple[DatabaseColumn, ...]
    row_bytes: int | None = None
    note: str = ""
    steady: bool = False


class Database(Protocol):
    """An open connection; within ``translated`` errors are transient, of configuration or of data."""

    def relation(self) -> Relation:
        """Find the table or query of the request; raises ConfigurationError for one that is not there."""
        ...

    def identifier(self, name: str) -> str:
        """Return a name quoted."""
        ...

    def constant(self, value: Any, cursor: str) -> str:
        """Return a cursor value of a position as a SQL constant of the type ``cursor``."""
        ...

    def since(self, column: DatabaseColumn, value: Any, lag: timedelta) -> str:
        """Return the condition that a column is not less than a cursor value, moved back by a lag if it is a time."""
        ...

    def between(self, column: DatabaseColumn, start: datetime, end: datetime) -> str:
        """Return the condition that a column of moments lies in a half-open interval; naive ones are taken as UTC."""
        ...

    def ask(self, sql: str) -> Sequence[Sequence[Any]]:
        """Run a query and return its few rows."""
        ...

    def now(self) -> datetime:
        """Return the moment by the database's clock, UTC."""
        ...

    def limited(self, sql: str, rows: int) -> str:
        """Return a SELECT cut to its first rows."""
        ...

    def stream(self, sql: str, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a query, all as of one moment, in batches of about so many rows."""
        ...

    def tables(self) -> tuple[SourceTable, ...]:
        """Return the tables and views that the user may read, sorted by name."""
        ...

    def describe(self) -> tuple[TableDescription, ...]:
        """Describe what the user may see, or the one table of the request."""
        ...

    def figures(self, relation: Relation, columns: Sequence[DatabaseColumn], where: str) -> SourceFigures | None:
        """Return what the database says of the rows that were streamed, or None where it is not asked."""
        ...

    def translated(self) -> AbstractContextManager[None]:
        """Raise the driver's errors as sentences without secrets."""
        ...

    def close(self) -> None:
        """Close the connection; quiet."""
        ...
