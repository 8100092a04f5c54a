"""Columns that some loads lack: a merge gives one table whatever the order, and missing never wipes what is known."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from landed_folder import FolderTable, apply, source

from penstock.model.specs import WriteMode
from penstock.stores.engine import LocalEngine
from penstock.stores.warehouse import DuckDBWarehouse

CELL = st.sampled_from([None, "p", "q", "r"])
ROWS = st.lists(st.tuples(st.integers(1, 2), st.integers(0, 3), CELL, CELL), max_size=4)


@st.composite
def histories(draw):
    """Loads (rows, which of the columns a and b they have, what they supersede), an order, and its grouping."""
    count = draw(st.integers(1, 5))
    loads = []
    for number in range(1, count + 1):
        dead = draw(st.sets(st.integers(1, number - 1), max_size=1)) if number > 1 else set()
        loads.append((number, draw(ROWS), draw(st.sets(st.sampled_from("ab"))), sorted(dead)))
    return loads, draw(st.permutations(loads)), draw(st.lists(st.booleans(), min_size=count, max_size=count))


def query(number: int, rows: list, given_: set) -> str:
    listed = ", ".join(
        f"({key}, {at}, {'NULL' if a is None else repr(a)}::VARCHAR, {'NULL' if b is None else repr(b)}::VARCHAR)"
        for key, at, a, b in rows
    )
    columns = ", ".join(["id", "seq", *sorted(given_)])
    empty = "(0, 0, NULL::VARCHAR, NULL::VARCHAR)"
    return f"SELECT {columns} FROM (VALUES {listed or empty}) v(id, seq, a, b) {'' if rows else 'WHERE false'}"


def model(loads: list) -> list:
    dead = {number for _, _, _, superseded in loads for number in superseded}
    has = {name for number, _, given_, _ in loads if number not in dead for name in given_}
    versions: dict = {}
    for number, rows, given_, _ in loads:
        if number in dead:
            continue
        for place, (key, at, a, b) in enumerate(rows):
            versions.setdefault(key, []).append(((at, number, place), given_, {"a": a, "b": b}))
    found = []
    for key, of_key in versions.items():
        order, _, _ = max(of_key, key=lambda version: version[0])
        values = []
        for name in ("a", "b"):
            having = [version for version in of_key if name in version[1]]
            values.append(max(having, key=lambda version: version[0])[2][name] if having and name in has else None)
        found.append((key, order[0], *values))
    return sorted(found, key=repr)


EARLY = (1, [(1, 3, None, None)], set(), [])
LATE = (2, [(1, 1, "p", None)], {"a"}, [])
LATER = (3, [(1, 2, None, None)], {"a", "b"}, [])


LATEST = (1, [(1, 1, None, None)], set(), [])
TAKEN_OUT = (2, [(1, 0, "p", None)], {"a"}, [])
TAKING_OUT = (3, [], set(), [2])


@given(history=histories())
@example(history=([LATEST, TAKEN_OUT, TAKING_OUT], [LATEST, TAKEN_OUT, TAKING_OUT], [False, True, True]))
@example(history=([EARLY, LATE, LATER], [EARLY, LATE, LATER], [True] * 3))
@example(history=([EARLY, LATE, LATER], [LATER, EARLY, LATE], [True, False, True]))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_order_and_grouping_keeps_what_is_known(engine: LocalEngine, history) -> None:
    loads, order, cuts = history
    with tempfile.TemporaryDirectory() as folder:
        lake = FolderTable(Path(folder) / "lake")
        landed = {
            number: lake.load(number, query(number, rows, given_), supersedes=dead)
            for number, rows, given_, dead in loads
        }
        warehouse = DuckDBWarehouse(f"{folder}/w.duckdb", engine, patience=10)
        seen: set[int] = set()
        group: list[int] = []
        spec = source(WriteMode.MERGE, ("id",), "seq")
        for (number, *_), cut in zip(order, [*cuts[:-1], True], strict=True):
            group.append(number)
            if not cut:
                continue
            seen |= set(group)
            dead = {old for n in seen for old in landed[n].entry.supersedes}
            with warehouse.writing() as transaction:
                apply(transaction, lake, spec, [landed[n] for n in group], [landed[n] for n in sorted(seen - dead)])
            group = []
        with warehouse.reading() as transaction:
            present = {column.name for column in transaction.columns("raw_t") or ()}
            cells = ", ".join(name if name in present else f"NULL AS {name}" for name in ("id", "seq", "a", "b"))
            rows = transaction.execute(f"SELECT {cells} FROM raw_t") if present else []
        assert sorted(rows, key=repr) == model(loads)
