"""Checks that the recent loads or versions of a table suggest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import duckdb

from penstock.errors import NotFoundError
from penstock.load.columns import present
from penstock.model.answers import SuggestedCheck, SuggestedChecks
from penstock.model.entries import Column
from penstock.model.interval import Interval
from penstock.model.specs import CheckSpec, PipelineSpec
from penstock.orchestrate.backtesting import Backtest
from penstock.orchestrate.ledger import Ledger
from penstock.orchestrate.standing import known, others, relations_of, rows_of
from penstock.orchestrate.workspace import Workspace
from penstock.queries import relations
from penstock.queries.relations import FILE, ROW
from penstock.queries.text import identifier, literal
from penstock.suggest.proposing import propose
from penstock.suggest.recent import LOAD, PLACE, STARTS, Recent
from penstock.suggest.suggestion import Suggestion, module
from penstock.validate.rows import opened
from penstock.values import dataclass

MOST_LOADS, MOST_ROWS = 60, 2_000_000
"""So many loads are looked at, and no older ones once they have so many rows."""
_RECENT = "_penstock_recent"
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class _Part:
    """A load or version: its rows as SQL, how many, and the interval that it covers."""

    relation: str
    rows: int
    interval: Interval | None


def suggest(
    workspace: Workspace, spec: PipelineSpec, table: str, made: Callable[[Suggestion], CheckSpec]
) -> SuggestedChecks:
    """Return checks that held in all recent loads of a table, as code to edit; nothing is written.

    Raises:
        NotFoundError: No load or version of it was accepted yet.
    """
    name, ledger = known(workspace, spec, table)
    parts, columns = _parts(workspace, ledger, name)
    if not parts:
        raise NotFoundError(f"{name} has no accepted rows yet", remedy="penstock run")
    with workspace.engine.session() as connection:
        seen = _gathered(connection, name, parts, columns)
        recent = Recent(
            connection=connection,
            relation=_RECENT,
            table=name,
            columns={column.name: type_ for column, type_ in seen if column.personal is None},
            loads=len(parts),
            hidden=tuple(column.name for column, _ in seen if column.personal is not None),
            intervals=[part.interval for part in parts],
            related=relations_of(others(spec, name), ledger, workspace.lake),
            landed=name in ledger.sources,
        )
        found = propose(recent, Backtest(recent, made, workspace.lake.objects).failing)
    return SuggestedChecks(
        table=name,
        loads=len(parts),
        rows=sum(part.rows for part in parts),
        checks=tuple(_check(suggestion) for suggestion in found),
        code=module(name, found),
    )


def _check(suggestion: Suggestion) -> SuggestedCheck:
    return SuggestedCheck(kind=suggestion.kind, code=suggestion.code(), reason=suggestion.reason)


def _parts(workspace: Workspace, ledger: Ledger, name: str) -> tuple[list[_Part], tuple[Column, ...]]:
    """Return the recent loads or versions, oldest first, and the columns of the table."""
    parts: list[_Part] = []
    columns: tuple[Column, ...] = ()
    if name in ledger.sources:
        records = [
            record for record in ledger.sources[name].live() if record.entry.files and record.entry.taken is None
        ]
        for record in _newest(records):
            entry = record.entry
            relation = relations.accepted(rows_of([record], workspace.lake), located=True)
            parts.append(_Part(relation, sum(file.rows for file in entry.files), entry.span))
            columns = columns or present(entry.schema, workspace.lake.table(entry.table).columns())
    else:
        newest = ledger.versions[name].newest
        ordered = sorted(
            newest.items(), key=lambda item: (item[0].start if item[0] else item[1].created_at, item[1].number)
        )
        lake_table = workspace.lake.table(name)
        for interval, entry in _newest([item for item in ordered if item[1].files]):
            relation = relations.parquet(lake_table.places(entry.files), located=True)
            parts.append(_Part(relation, sum(file.rows for file in entry.files), interval))
            columns = columns or present(entry.schema, lake_table.columns())
    kept: list[_Part] = []
    rows = 0
    for part in parts:
        if kept and rows + part.rows > MOST_ROWS:
            break
        kept.append(part)
        rows += part.rows
    return kept[::-1], columns


def _newest(listed: Sequence[_Item]) -> Sequence[_Item]:
    return listed[-MOST_LOADS:][::-1]


def _gathered(
    connection: duckdb.DuckDBPyConnection, name: str, parts: Sequence[_Part], columns: Sequence[Column]
) -> list[tuple[Column, str]]:
    """Make the table of all recent rows; returns its columns with the types that checks see."""
    selects: list[str] = []
    types: dict[str, str] = {}
    for number, part in enumerate(parts):
        rows = opened(connection, name, part.relation, columns, (), ())
        types |= {column.name: column.type for column in rows.columns}
        start = "NULL" if part.interval is None else literal(part.interval.start.replace(tzinfo=None).isoformat(" "))
        listed = ", ".join(identifier(column.name) for column in columns)
        selects.append(
            f"SELECT {listed}, {number} AS {LOAD}, row_number() OVER (ORDER BY {FILE}, {ROW}) - 1 AS {PLACE}, "
            f"CAST({start} AS TIMESTAMP) AS {STARTS} FROM {rows.unnamed(place=True)}"
        )
    connection.execute(f"CREATE TEMP TABLE {_RECENT} AS {' UNION ALL '.join(selects)}")
    return [(column, types[column.name]) for column in columns]
