"""Merging gives one table whatever the order and grouping of loads: random loads against a model in plain Python."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from landed_folder import START, FolderTable, apply, source

from penstock.model.specs import WriteMode
from penstock.stores.engine import LocalEngine
from penstock.stores.warehouse import DuckDBWarehouse

KEYS = st.tuples(st.sampled_from([None, 1, 2, 3]), st.sampled_from([None, 0.0, -0.0, float("nan"), 1.5]))
CURSORS = st.sampled_from([None, -1.0, 0.0, -0.0, 2.0, float("nan"), float("inf")])
ROWS = st.lists(st.tuples(KEYS, CURSORS), max_size=6)


@st.composite
def histories(draw):
    """Loads (rows and what each supersedes), a permutation, and how it is cut into groups."""
    count = draw(st.integers(1, 5))
    loads = []
    for number in range(1, count + 1):
        supersedes = draw(st.sets(st.integers(1, number - 1), max_size=2)) if number > 1 else set()
        loads.append((number, draw(ROWS), sorted(supersedes)))
    order = draw(st.permutations(loads))
    cuts = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    one_transaction = draw(st.booleans())
    return loads, order, cuts, one_transaction


def literal(value: object, type_: str) -> str:
    return f"NULL::{type_}" if value is None else f"'{value}'::{type_}"


def query(number: int, rows: list) -> str:
    listed = [
        f"({literal(key[0], 'BIGINT')}, {literal(key[1], 'DOUBLE')}, {literal(cursor, 'DOUBLE')}, '{number}-{place}')"
        for place, (key, cursor) in enumerate(rows)
    ]
    listed = listed or ["(NULL::BIGINT, NULL::DOUBLE, NULL::DOUBLE, NULL::VARCHAR)"]
    return f'SELECT * FROM (VALUES {", ".join(listed)}) v(a, b, "at", value) {"" if rows else "WHERE false"}'


def normal(number):
    if number is None:
        return None
    return "nan" if math.isnan(number) else number + 0.0


def model(loads: list) -> list:
    """What the table must be, said in Python."""
    dead = {number for _, _, supersedes in loads for number in supersedes}
    versions: dict = {}
    for number, rows, _ in loads:
        if number in dead:
            continue
        for place, ((a, b), cursor) in enumerate(rows):
            known = cursor is not None and not math.isnan(cursor)
            rank = cursor if known else -math.inf
            versions.setdefault((a, normal(b)), []).append((known, rank, number, place))
    found = []
    for key, of_key in versions.items():
        known, rank, number, place = max(of_key)
        found.append((*key, f"{number}-{place}", number, place, rank if known else None, min(v[2] for v in of_key)))
    return sorted(found, key=repr)


def content(transaction) -> list:
    if transaction.columns("raw_t") is None:
        return []
    rows = transaction.execute(
        "SELECT a, b, value, _load, _order.position, _order.cursor, "
        "date_diff('hour', ?::TIMESTAMPTZ, _created_at), date_diff('hour', ?::TIMESTAMPTZ, _updated_at), _order.load "
        "FROM raw_t",
        [START, START],
    )
    assert all(row[3] == row[7] == row[8] for row in rows)
    return sorted(((a, normal(b), *rest[:5]) for a, b, *rest in rows), key=repr)


@given(history=histories())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_order_and_grouping_gives_the_table_of_the_model(engine: LocalEngine, history) -> None:
    loads, order, cuts, one_transaction = history
    with tempfile.TemporaryDirectory() as folder:
        lake = FolderTable(Path(folder) / "lake")
        landed = {number: lake.load(number, query(number, rows), supersedes=dead) for number, rows, dead in loads}
        warehouse = DuckDBWarehouse(f"{folder}/w.duckdb", engine, patience=10)
        groups, group = [], []
        for (number, _, _), cut in zip(order, cuts, strict=True):
            group.append(number)
            if cut:
                groups.append(group)
                group = []
        groups.append(group)
        spec = source(WriteMode.MERGE, ("a", "b"), "at")

        def run(transaction, numbers: list[int], seen: set[int]) -> None:
            seen |= set(numbers)
            dead = {old for n in seen for old in landed[n].entry.supersedes}
            apply(transaction, lake, spec, [landed[n] for n in numbers], [landed[n] for n in sorted(seen - dead)])

        seen: set[int] = set()
        if one_transaction:
            with warehouse.writing() as transaction:
                for numbers in groups:
                    run(transaction, numbers, seen)
        else:
            for numbers in groups:
                with warehouse.writing() as transaction:
                    run(transaction, numbers, seen)
        with warehouse.reading() as transaction:
            assert content(transaction) == model(loads)
