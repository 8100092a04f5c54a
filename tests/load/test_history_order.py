"""Deletes and histories are one table whatever the order and grouping of loads: random loads against plain Python."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from landed_folder import START, FolderTable, apply, source

from penstock.load.ledger import held
from penstock.model.specs import Deletes, WriteMode
from penstock.stores.engine import LocalEngine
from penstock.stores.warehouse import DuckDBWarehouse

NAN = float("nan")
KEYS = st.tuples(st.sampled_from([None, 1, 2]), st.sampled_from([0.0, -0.0, NAN]))
VALUES = st.tuples(st.sampled_from([None, 0.0, -0.0, NAN, 1.0]), st.sampled_from([None, "a"]))
CURSORS = {
    "DOUBLE": st.sampled_from([None, -1.0, 0.0, -0.0, 2.0, NAN]),
    "TIMESTAMP": st.sampled_from([None, *(START.replace(tzinfo=None) + timedelta(hours=n) for n in (-1, 1, 2, 3))]),
}
NO_CURSOR = st.none()
UNKNOWN = START.replace(tzinfo=None) - timedelta(days=1)


@dataclass(frozen=True)
class Row:
    key: tuple
    cursor: object
    value: tuple
    deleted: bool


@dataclass(frozen=True)
class Load:
    number: int
    at: datetime
    rows: tuple[Row, ...]
    aside: frozenset[int]
    supersedes: tuple[int, ...]

    def accepted(self) -> list[tuple[int, Row]]:
        return [(place, row) for place, row in enumerate(self.rows) if place not in self.aside]


@dataclass(frozen=True)
class Story:
    loads: tuple[Load, ...]
    groups: tuple[tuple[int, ...], ...]
    one_transaction: bool

    def live(self) -> list[Load]:
        dead = {number for load in self.loads for number in load.supersedes}
        return [load for load in self.loads if load.number not in dead]


@st.composite
def stories(draw, cursor: str | None, superseding: bool = True):
    cursors = CURSORS[cursor] if cursor else NO_CURSOR
    rows = st.lists(st.builds(Row, KEYS, cursors, VALUES, st.sampled_from([False, False, True])), max_size=5)
    loads = []
    for number in range(1, draw(st.integers(1, 5)) + 1):
        found = tuple(draw(rows))
        earlier = st.sets(st.integers(1, max(1, number - 1)), max_size=1 if superseding and number > 1 else 0)
        aside = draw(st.sets(st.integers(0, max(0, len(found) - 1)), max_size=2 if found else 0))
        # Moments of loads mostly grow; some are equal or go back, as clocks do.
        at = START + timedelta(hours=draw(st.sampled_from([number, number, number, number - 1, number - 2])))
        loads.append(Load(number, at, found, frozenset(aside), tuple(sorted(draw(earlier)))))
    order = draw(st.permutations([load.number for load in loads]))
    groups, group = [], []
    for number in order:
        group.append(number)
        if draw(st.booleans()):
            groups.append(tuple(group))
            group = []
    return Story(tuple(loads), (*groups, tuple(group)), draw(st.booleans()))


def literal(value: object, type_: str) -> str:
    return f"NULL::{type_}" if value is None else f"'{value}'::{type_}"


def query(load: Load, cursor: str | None) -> str:
    types = ("BIGINT", "DOUBLE", cursor or "BIGINT", "DOUBLE", "VARCHAR", "BOOLEAN")
    rows = [(*row.key, row.cursor, *row.value, row.deleted or None) for row in load.rows]
    listed = [f"({', '.join(map(literal, row, types))})" for row in rows]
    none = f"({', '.join(literal(None, type_) for type_ in types)})"
    return (
        f'SELECT * FROM (VALUES {", ".join(listed or [none])}) v(a, b, "at", x, y, gone) '
        f"{'' if listed else 'WHERE false'}"
    )


def normal(value):
    if isinstance(value, tuple):
        return tuple(normal(each) for each in value)
    if isinstance(value, float):
        return "nan" if math.isnan(value) else value + 0.0
    return value


def happen(story: Story, spec, engine: LocalEngine, cursor: str | None, columns: str) -> list:
    """Apply the loads in the order of the story, and return what is in the table then."""
    with tempfile.TemporaryDirectory() as folder:
        lake = FolderTable(Path(folder) / "lake")
        landed = {
            load.number: lake.load(
                load.number,
                query(load, cursor),
                supersedes=load.supersedes,
                quarantined=[(0, place) for place in sorted(load.aside)],
                at=load.at,
                snapshot=spec.by_snapshot,
            )
            for load in story.loads
        }
        warehouse = DuckDBWarehouse(f"{folder}/w.duckdb", engine, patience=10)
        seen: set[int] = set()

        def one(transaction, numbers) -> None:
            before = held(transaction, ["raw_t"])["raw_t"]
            seen.update(numbers)
            live = seen - {old for n in seen for old in landed[n].entry.supersedes}
            # As the runner does: only what stands is given to be applied.
            new = [landed[n] for n in numbers if n in live]
            gone = frozenset(before - live)
            apply(transaction, lake, spec, new, [landed[n] for n in sorted(live)], superseded=gone)

        if story.one_transaction:
            with warehouse.writing() as transaction:
                for numbers in story.groups:
                    one(transaction, numbers)
        else:
            for numbers in story.groups:
                with warehouse.writing() as transaction:
                    one(transaction, numbers)
        with warehouse.reading() as transaction:
            if transaction.columns("raw_t") is None:
                return []
            return sorted((normal(row) for row in transaction.execute(f"SELECT {columns} FROM raw_t")), key=repr)


def known(cursor: object) -> bool:
    return cursor is not None and not (isinstance(cursor, float) and math.isnan(cursor))


def order(row: Row, load: Load, place: int) -> tuple:
    return (known(row.cursor), normal(row.cursor) if known(row.cursor) else 0, load.number, place)


def by_key(loads: list[Load]) -> dict:
    found: dict = {}
    for load in loads:
        for place, row in load.accepted():
            found.setdefault(normal(row.key), []).append((load, place, row))
    return found


def merged(loads: list[Load]) -> list:
    """The table of a merge with a column that says deletion."""
    found = []
    for key, rows in by_key(loads).items():
        load, place, row = max(rows, key=lambda item: order(item[2], item[0], item[1]))
        if not row.deleted:
            found.append((*key, *normal(row.value), load.number, place, min(other.at for other, _, _ in rows), load.at))
    return sorted(found, key=repr)


def merged_snapshots(loads: list[Load]) -> list:
    """The table of a merge of snapshots: each load is the whole source."""
    table: dict = {}
    for load in loads:
        rows = {normal(row.key): (place, row) for place, row in load.accepted()}
        there = rows.keys() | {normal(row.key) for row in load.rows}
        table = {key: kept for key, kept in table.items() if key in there}
        for key, (place, row) in rows.items():
            created = min(load.at, table[key][-2]) if key in table else load.at
            if len([1 for _, other in load.accepted() if normal(other.key) == key]) > 1:
                created = min(created, load.at)
            table[key] = (*key, *normal(row.value), load.number, place, created, load.at)
    return sorted(table.values(), key=repr)


def history(events: list) -> list:
    """The versions of one key, from (order, moment, made at, says or None, load number, place)."""
    events = sorted(events, key=lambda event: event[0])
    shown = [e for n, e in enumerate(events) if all(e[1] < later[1] for later in events[n + 1 :])]
    opening = [e for n, e in enumerate(shown) if n == 0 or shown[n - 1][3] != e[3]]
    found = []
    for n, (_, moment, made, says, number, place) in enumerate(opening):
        closing = opening[n + 1] if n + 1 < len(opening) else None
        if says is not None:
            ends = closing[1] if closing else None
            found.append((*says, number, place, moment, ends, made, closing[2] if closing else made))
    return found


def histories(loads: list[Load], cursor: str | None) -> list:
    """The table of scd2 with a column that says deletion."""
    found = []
    for key, rows in by_key(loads).items():
        events = []
        for load, place, row in rows:
            moment, rank = load.at, order(row, load, place)
            if cursor == "TIMESTAMP":
                moment = row.cursor.replace(tzinfo=START.tzinfo) if row.cursor else load.at
                rank = (moment, *rank[:1], rank[1] or UNKNOWN, *rank[2:])
            says = None if row.deleted else normal(row.value)
            events.append((rank, moment, load.at, says, load.number, place))
        found += [(*key, *version) for version in history(events)]
    return sorted(found, key=repr)


def snapshot_histories(loads: list[Load]) -> list:
    """The table of scd2 over snapshots: a key that one lacks is deleted at its moment."""
    found = []
    for key, rows in by_key(loads).items():
        events: list = []
        for load in loads:
            mine = [(place, row) for of, place, row in rows if of is load]
            # The column that might say deletion says nothing here: it is a value like others.
            said = [(place, (*normal(row.value), row.deleted or None)) for place, row in mine]
            gone = key not in {normal(row.key) for row in load.rows}
            if gone and events and events[-1][3] is not None:
                said = [(-1, None)]
            events += [((load.number, place), load.at, load.at, says, load.number, place) for place, says in said]
        found += [(*key, *version) for version in history(events)]
    return sorted(((*row[:4], *row[5:]) for row in found), key=repr)


ROWS = "a, b, x, y, _load, _order.position, _created_at, _updated_at"
VERSIONS = "a, b, x, y, _load, _order.position, _valid_from, _valid_to, _created_at, _updated_at"
BY_COLUMN = Deletes(column="gone")


@pytest.fixture(params=[7, pytest.param(100, marks=pytest.mark.slow)])
def many(request: pytest.FixtureRequest) -> settings:
    """How many stories are told."""
    return settings(max_examples=request.param, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("cursor", [None, "DOUBLE", "TIMESTAMP"])
def test_merging_with_deletes_by_column(engine: LocalEngine, many: settings, cursor: str | None) -> None:
    @given(story=stories(cursor))
    @many
    def holds(story: Story) -> None:
        spec = source(WriteMode.MERGE, ("a", "b"), "at" if cursor else None, BY_COLUMN)
        assert happen(story, spec, engine, cursor, ROWS) == merged(story.live())

    holds()


def test_merging_snapshots(engine: LocalEngine, many: settings) -> None:
    @given(story=stories(None))
    @many
    def holds(story: Story) -> None:
        spec = source(WriteMode.MERGE, ("a", "b"), None, Deletes())
        assert happen(story, spec, engine, None, ROWS) == merged_snapshots(story.live())

    holds()


@pytest.mark.parametrize("cursor", [None, "DOUBLE", "TIMESTAMP"])
def test_histories_with_deletes_by_column(engine: LocalEngine, many: settings, cursor: str | None) -> None:
    @given(story=stories(cursor))
    @many
    def holds(story: Story) -> None:
        spec = source(WriteMode.SCD2, ("a", "b"), "at" if cursor else None, BY_COLUMN)
        assert happen(story, spec, engine, cursor, VERSIONS) == histories(story.live(), cursor)

    holds()


def test_histories_of_snapshots(engine: LocalEngine, many: settings) -> None:
    @given(story=stories(None))
    @many
    def holds(story: Story) -> None:
        spec = source(WriteMode.SCD2, ("a", "b"), None, Deletes())
        assert happen(story, spec, engine, None, VERSIONS) == snapshot_histories(story.live())

    holds()
