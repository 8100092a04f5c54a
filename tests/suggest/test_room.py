"""The room that suggestions leave for a row or two of what never was, and for one more step of what has few."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from evident import LOADS, Row, bounds, gathered, level, suggested

from penstock.checks.suggested import made
from penstock.orchestrate.backtesting import Backtest
from penstock.stores.objects import LocalObjects
from penstock.suggest.proposing import called, propose


def failing(connection: duckdb.DuckDBPyConnection, folder: Path, change: str, rows: int) -> set[str]:
    """Return what the last load fails once it is changed, of what all loads suggested."""

    def row(dice: random.Random, load: int, place: int) -> Row:
        return {
            "period": 1 + 4 * place // rows,
            "event": level(dice, ["shot", "rebound", "foul"]),
            "note": f"{dice.randint(1, 400)} pieces",
            "level": 2 * dice.randint(20, 60),
            "flag": dice.randint(0, 1),
            "size": level(dice, [1.0, 2.5, 10.0]),
        }

    recent = gathered(connection, row, rows=rows)
    found = propose(recent)
    connection.execute(f"UPDATE recent SET {change} AND _penstock_number = {LOADS - 1}")
    return Backtest(replace(recent, learned={}), made, LocalObjects(folder)).failing(found, LOADS - 1)


@pytest.mark.parametrize(
    ("rows", "change"),
    [
        (240, "event = 'ejection' WHERE _penstock_place IN (7, 100)"),
        (24, "event = 'off' WHERE _penstock_place = 7"),
        (240, "note = NULL WHERE _penstock_place IN (7, 100)"),
        (240, '"at" = "at" - INTERVAL 57 MINUTE WHERE _penstock_place IN (70, 100)'),
        (240, "period = 5 WHERE _penstock_place > 200"),
        (240, "level = level + 1 WHERE _penstock_place > 100"),
        (240, "size = 15 WHERE _penstock_place % 6 = 0"),
    ],
)
def test_a_row_or_two_and_one_more_level_raise_no_alarm(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, rows: int, change: str
) -> None:
    assert failing(connection, tmp_path, change, rows) == set()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("event = 'ejection' WHERE _penstock_place < 6", "in_set(event)"),
        ("event = 'disqualified' WHERE _penstock_place < 6", "shape of event"),
        ("event = 'foul!' WHERE _penstock_place < 1", "matches(event)"),
        ("event = 'Foul' WHERE _penstock_place < 1", '"event" = lower("event")'),
        ("note = NULL WHERE _penstock_place < 6", "not_null(event, note)"),
        ('"at" = "at" - INTERVAL 1 HOUR WHERE _penstock_place % 30 = 9', "increasing(at)"),
        ("period = 6 WHERE _penstock_place = 9", "between(period)"),
        ("period = 0 WHERE _penstock_place = 9", "between(period)"),
        ("period = 5 WHERE _penstock_place < 100", "in_set(period)"),
        ("flag = 2 WHERE _penstock_place < 30", "in_set(flag)"),
        ("size = 18 WHERE _penstock_place < 6", "between(size)"),
    ],
)
def test_more_rows_and_further_levels_do(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, change: str, named: str
) -> None:
    assert named in failing(connection, tmp_path, change, 240)


def test_an_end_that_many_values_lead_up_to_is_a_wall(connection: duckdb.DuckDBPyConnection) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        return {
            "damp": min(100, 60 + 2 * place),
            "stars": 1 + place % 5,
            "shift": [-3, -2, 0][place % 3],
            "share": [0.0, 0.5, 0.75][place % 3],
        }

    names = suggested(gathered(connection, row, rows=30))
    assert bounds(names["between(damp)"])["high"] == 100
    assert bounds(names["between(stars)"]) == {"low": 1, "high": 6}
    assert bounds(names["between(shift)"]) == {"low": -5, "high": 0}
    assert bounds(names["between(share)"]) == {"low": 0, "high": 1.25}


def test_what_was_always_zero_is_no_rule(connection: duckdb.DuckDBPyConnection) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        return {"snow": 0.0, "shops": 77}

    names = suggested(gathered(connection, row))
    assert "in_set(snow)" not in names
    assert "at_most=1" in names["in_set(shops)"]


def test_a_grid_may_be_twice_as_fine_and_decimals_one_more(connection: duckdb.DuckDBPyConnection) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        return {
            "even": 2 * dice.randint(20, 60),
            "tens": 10 * dice.randint(2, 60),
            "warmth": round(dice.uniform(-10, 30), 1),
            "count": float(dice.randint(0, 300)),
        }

    names = suggested(gathered(connection, row))
    assert "steps between values of even" not in names
    assert "/ 5" in names["steps between values of tens"]
    assert '"warmth" = round("warmth", 2)' in names
    assert '"count" = round("count", 0)' in names


def test_numbers_that_always_went_as_closely_together_may_do_so_less(connection: duckdb.DuckDBPyConnection) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        return {"kwh": place * 3, "cost": place * 6, "ramp": place % 12}

    recent = gathered(connection, row)
    found = {called(each): each for each in propose(recent)}
    assert found["correlation(kwh, cost)"].keywords["min"] <= 0.95
