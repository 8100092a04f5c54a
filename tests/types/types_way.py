"""The whole way of types, for any source: a table of cases, one column each, and one runner.

A source's test writes its cases, makes a table ``t`` with the columns that ``declared`` gives and the rows of ``rows``,
and hands its URL to ``bring``. What comes back is read three ways: the warehouse by DuckDB, the raw zone by plain
``deltalake``, the fields of the Delta log. All cases lie in one table, so that an odd column would sink the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.schema import ArrayType, MapType, PrimitiveType, StructType

import penstock

AS_TEXT = "CAST({} AS VARCHAR)"
"""How values are read that Python's own types would cut: intervals, years before 1 and after 9999."""


@dataclass(frozen=True)
class Case:
    """A type of a source and its edge values.

    Attributes:
        type: As the source declares it.
        values: SQL literals of the source; or an Arrow array.
        expected: What DuckDB gives for each; None takes the literals without their quotes.
        warehouse: The type in the warehouse.
        stored: The Delta type.
        arrow: The Arrow type that the source gives; where it says nothing of its own, that of the case.
        lost: What is lost, for the page; empty for nothing.
        plain: What a plain Delta reader gets for each; None takes what is expected.
        read: How the warehouse's value is read.
        told: The type in the field's metadata; None takes ``type``, an empty text none.
        label: Tells cases of one type apart.
    """

    type: str
    values: Any
    expected: Sequence[Any] | None = None
    warehouse: str = "VARCHAR"
    stored: str = "string"
    arrow: str = "string"
    lost: str = ""
    plain: Sequence[Any] | None = None
    read: str = "{}"
    told: str | None = None
    label: str = ""

    @property
    def wanted(self) -> list[Any]:
        """Return what DuckDB gives for each value."""
        if self.expected is not None:
            return list(self.expected)
        return [value.removeprefix("E").strip("'").replace("''", "'") for value in self.values]

    @property
    def name(self) -> str:
        """Return the id of its test."""
        return f"{self.type} {self.label}".strip()


def texts(*types_and_values: tuple[str, tuple[str, ...]], **fields: Any) -> list[Case]:
    """Return cases of types that are kept as the source's text."""
    return [Case(type_, values, **fields) for type_, values in types_and_values]


def declared(cases: Sequence[Case]) -> str:
    """Return the columns of the table, for CREATE TABLE."""
    return ", ".join(["place INTEGER", *(f"c{number} {case.type}" for number, case in enumerate(cases))])


def rows(cases: Sequence[Case]) -> list[str]:
    """Return the rows for INSERT: the cases side by side, shorter ones filled with NULL; the last is all NULL."""
    longest = max(len(case.values) for case in cases)
    listed = []
    for place in range(longest + 1):
        values = [case.values[place] if place < len(case.values) else "NULL" for case in cases]
        listed.append(f"({', '.join([str(place), *values])})")
    return listed


@dataclass(frozen=True)
class Arrived:
    """What came of a table ``t``; the columns of the cases are ``c0``, ``c1`` …"""

    warehouse: Path
    plain: pa.Table
    delta: dict[str, Any]
    notes: tuple[str, ...]
    arrow: dict[str, str] = field(default_factory=dict)

    def check(self, number: int, case: Case) -> None:
        """Assert that a case came through."""
        name, wanted = f"c{number}", case.wanted
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            found = connection.execute(
                f"SELECT typeof({name}), {case.read.format(name)} FROM t ORDER BY place"
            ).fetchall()
        assert found[0][0] == case.warehouse
        missing = [None] * (len(found) - len(wanted))
        assert spelled([value for _, value in found]) == spelled(wanted + missing)
        if case.stored == "none":
            # A column of nothing but nulls is in no file until a value gives it a type.
            assert name not in self.delta
            return
        stored = self.delta[name]
        assert delta_type(stored.type) == case.stored
        told = {"penstock.source_type": case.type if case.told is None else case.told}
        told = told if told["penstock.source_type"] else {}
        assert stored.metadata == told | _restored(case)
        if case.plain is not None or case.read == "{}":
            plain = wanted if case.plain is None else list(case.plain)
            assert spelled(self.plain.column(name).to_pylist()) == spelled(plain + missing)
        if self.arrow:
            assert self.arrow[name] == case.arrow


def bring(data: Any, folder: Path, arrow: pa.Schema | None = None) -> Arrived:
    """Ingest a source's table ``t`` and read what came of it.

    Args:
        data: A URL, a file's path, or an object.
        folder: An empty folder.
        arrow: What the source says of its columns, to be compared with the cases.
    """
    warehouse = folder / "w.duckdb"
    receipt = penstock.ingest(data, to=str(warehouse), table="t")
    table = DeltaTable(folder / "w.lake" / "raw_t")
    notes = tuple(note for step in receipt.run.steps for note in step.notes)
    return Arrived(
        warehouse=warehouse,
        plain=table.to_pyarrow_table().sort_by("place"),
        delta={field.name: field for field in table.schema().fields},
        notes=notes,
        arrow={field.name: str(field.type) for field in arrow} if arrow is not None else {},
    )


def spelled(value: Any) -> str:
    """Return values so that equal text means the same value of the same type: NaN, -0.0, 1.50 and 1.5 told apart."""
    return repr(_comparable(value))


def delta_type(type_: Any) -> str:
    """Return a Delta type in short."""
    if isinstance(type_, PrimitiveType):
        return str(type_.type)
    if isinstance(type_, ArrayType):
        return f"array<{delta_type(type_.element_type)}>"
    if isinstance(type_, MapType):
        return f"map<{delta_type(type_.key_type)}, {delta_type(type_.value_type)}>"
    assert isinstance(type_, StructType)
    return f"struct<{', '.join(f'{member.name}: {delta_type(member.type)}' for member in type_.fields)}>"


_NATIVE = {
    "boolean": "BOOLEAN", "byte": "TINYINT", "short": "SMALLINT", "integer": "INTEGER", "long": "BIGINT",
    "float": "FLOAT", "double": "DOUBLE", "string": "VARCHAR", "binary": "BLOB", "date": "DATE",
    "timestamp_ntz": "TIMESTAMP", "timestamp": "TIMESTAMP WITH TIME ZONE",
}  # fmt: skip


def _restored(case: Case) -> dict[str, str]:
    """Return what the metadata says of a stored form: the type that it stands for, unless it is that type."""
    return {} if _as_duckdb(case.stored) == case.warehouse.replace('"', "") else {"penstock.type": case.warehouse}


def _as_duckdb(stored: str) -> str:
    text = stored
    while text.startswith("array<"):
        text = text.removeprefix("array<").removesuffix(">")
    dimensions = "[]" * ((len(stored) - len(text)) // len("array<>"))
    if text.startswith(("struct<", "map<")):
        kind, _, inside = text.removesuffix(">").partition("<")
        parts = [part.partition(": ") if kind == "struct" else ("", "", part) for part in inside.split(", ")]
        members = (f"{name} {_as_duckdb(type_)}".strip() for name, _, type_ in parts)
        return f"{kind.upper()}({', '.join(members)}){dimensions}"
    return (text.upper() if text.startswith("decimal") else _NATIVE[text]) + dimensions


def _comparable(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).isoformat()
    if isinstance(value, dict):
        return {key: _comparable(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_comparable(member) for member in value]
    return value


def page_table(cases: Sequence[Case]) -> str:
    """Return the cases as a table of ``docs/reference/types.md``; types that fare alike share a row."""
    lines = ["| source type | Arrow | Delta (stored) | DuckDB | lost |", "|---|---|---|---|---|"]
    for key, group in groupby(cases, key=lambda case: (case.arrow, case.stored, case.warehouse, case.lost)):
        named = list(dict.fromkeys(f"`{case.type}`" + (f" ({case.label})" if case.label else "") for case in group))
        arrow, stored, warehouse, lost = key
        told = f"`{arrow}`" if arrow else "—"
        lines.append(f"| {', '.join(named)} | {told} | `{stored}` | `{warehouse}` | {lost or 'nothing'} |")
    return "\n".join(lines)
