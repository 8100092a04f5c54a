"""What recent loads suggest, and what they do not: each rule on rows in which it holds, by chance or not."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from penstock.checks.suggested import made
from penstock.model.interval import Interval
from penstock.orchestrate.backtesting import Backtest
from penstock.stores.objects import LocalObjects
from penstock.suggest.proposing import called, propose
from penstock.suggest.recent import LOAD, PLACE, STARTS, Recent

LOADS, ROWS = 40, 24
Row = dict[str, Any]
Rows = Callable[[random.Random, int, int], Row]


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    opened = duckdb.connect(config={"threads": 1})
    yield opened
    opened.close()


def day(load: int) -> Interval:
    start = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=load)
    return Interval(start, start + timedelta(days=1))


def gathered(connection: duckdb.DuckDBPyConnection, row: Rows, *, loads: int = LOADS, rows: int = ROWS) -> Recent:
    """Return loads of rows that a function of dice, load and place makes, an hour apart."""
    dice = random.Random(7)
    made_rows = [
        {
            "at": day(load).start.replace(tzinfo=None) + timedelta(days=1) * place / rows,
            **row(dice, load, place),
            LOAD: load,
            PLACE: place,
            STARTS: day(load).start.replace(tzinfo=None),
        }
        for load in range(loads)
        for place in range(rows)
    ]
    listed = pa.Table.from_pylist(made_rows)  # noqa: F841 (DuckDB finds it by its name)
    connection.execute("CREATE TABLE recent AS SELECT * FROM listed")
    described = connection.execute("DESCRIBE recent").fetchall()
    columns = {name: type_ for name, type_, *_ in described if name not in (LOAD, PLACE, STARTS)}
    return Recent(connection, "recent", "readings", columns, loads, intervals=[day(load) for load in range(loads)])


def suggested(recent: Recent) -> dict[str, str]:
    return {called(suggestion): suggestion.code() for suggestion in propose(recent)}


def level(dice: random.Random, values: Sequence[Any]) -> Any:
    return dice.choice(values)


def test_what_the_earlier_loads_suggest_and_the_later_ones_break_is_not_suggested(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        grown = "x" * dice.randint(1, 3) if load < 25 else "x" * dice.randint(12, 14)
        return {"grown": f"{grown}{place}", "steady": "y" * dice.randint(1, 3) + str(place)}

    recent = gathered(connection, row)
    names = {called(suggestion) for suggestion in propose(recent)}
    tried = {
        called(suggestion) for suggestion in propose(recent, Backtest(recent, made, LocalObjects(tmp_path)).failing)
    }
    assert {"length(grown)", "length(steady)"} <= names
    assert "length(grown)" not in tried
    assert "length(steady)" in tried
    assert {"schema", "increasing(at)"} <= tried


def test_numbers_that_fill_their_range_are_no_list_but_steps(connection: duckdb.DuckDBPyConnection) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        return {
            "warmth": round(0.02 * dice.randint(10, 45), 2),
            "size": level(dice, [1.0, 2.5, 40.0, 41.0, 300.0]),
        }

    names = suggested(gathered(connection, row))
    assert "in_set(size)" in names
    assert "in_set(warmth)" not in names
    assert "/ 0.02" in names["steps between values of warmth"]


def test_an_order_needs_rows_that_could_have_broken_it(connection: duckdb.DuckDBPyConnection) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        # Pairs of rows share a moment: letters rise in all of them, clouds differ in two of all pairs.
        at = day(load).start.replace(tzinfo=None) + timedelta(hours=place // 2)
        second = place % 2
        return {"at": at, "letter": "ab"[second], "clouds": 40 + (second if load in (3, 9) and place < 2 else 0)}

    names = suggested(gathered(connection, row))
    assert "increasing(letter)" in names
    assert "increasing(clouds)" not in names


@pytest.mark.parametrize(
    ("hour", "allowed"), [(lambda place: max(0, place - 1), True), (lambda place: place // 30, False)]
)
def test_a_key_of_several_columns_is_strict_if_each_often_told_rows_apart(
    connection: duckdb.DuckDBPyConnection, hour: Callable[[int], int], allowed: bool
) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        at = day(load).start.replace(tzinfo=None) + timedelta(minutes=10 * hour(place))
        return {"at": at, "kind": f"k{place % 30:02}"}

    recent = gathered(connection, row, rows=60)
    code = suggested(recent)["unique(at, kind)"]
    assert (f"at_most={recent.tolerated}" in code) is allowed


def test_columns_that_are_missing_together_are_told(connection: duckdb.DuckDBPyConnection) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        late, lost = dice.random() < 0.3, dice.random() < 0.2
        return {
            "left": None if late else dice.random(),
            "delay": None if late or dice.random() < 0.2 else dice.random(),
            "other": None if lost else dice.random(),
        }

    names = suggested(gathered(connection, row))
    assert 'NOT ("left" IS NULL AND "delay" IS NOT NULL)' in names
    assert not any('"other" IS NULL' in name for name in names)


def test_series_have_steps_a_course_of_the_day_and_stand_still_only_so_long(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        return {
            "warmth": 10 + abs(place - 36) / 4 + dice.random(),
            "chance": dice.random(),
            "wind": level(dice, "NSEW"),
        }

    recent = gathered(connection, row, rows=72)
    names = suggested(recent)
    assert {"steps of warmth", "stand-still of chance", "warmth by the hour", "all of wind"} <= set(names)
    assert not {"steps of chance", "chance by the hour"} & set(names)
    connection.execute("CREATE TABLE readings AS SELECT * FROM recent WHERE _penstock_number = 1")
    queries = {called(each): str(each.arguments[0]) for each in propose(recent) if each.kind == "query"}

    def rows_of(name: str) -> int:
        return len(connection.execute(queries[name]).fetchall())

    assert [rows_of(name) for name in ("steps of warmth", "stand-still of chance", "all of wind")] == [0, 0, 0]
    connection.execute("UPDATE readings SET warmth = 60 WHERE _penstock_place = 20")
    connection.execute("UPDATE readings SET chance = 0.5 WHERE _penstock_place > 50")
    connection.execute("DELETE FROM readings WHERE wind = 'S'")
    assert [rows_of(name) for name in ("steps of warmth", "stand-still of chance", "all of wind")] == [1, 1, 1]


def test_signs_and_gaps_of_written_columns_have_limits(connection: duckdb.DuckDBPyConnection) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        return {
            "delay": dice.randint(-10, 10),
            "country": None if dice.random() < 0.02 else level(dice, ["DE", "FR", "PT"]),
        }

    names = suggested(gathered(connection, row, rows=100))
    assert any("delay" in name and "< 0" in name for name in names)
    assert "at_most" in names["not_null(country)"]


def test_texts_of_which_most_come_once_may_have_other_words_one_day(connection: duckdb.DuckDBPyConnection) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        return {"name": f"pet {dice.getrandbits(40):x}", "kind": level(dice, ["Dog", "Cat"])}

    recent = gathered(connection, row)
    assert recent.open == {"name"}
    names = suggested(recent)
    assert "at_most" in names['"name" = trim("name")']
    assert "at_most" not in names['"kind" = trim("kind")']
    assert 'checks.in_set("kind", ["Cat", "Dog"])' in names.values()
