"""What loads suggest of days and series, of walls that values come close to, and of what never was missing whole."""

from __future__ import annotations

import math
import random
from datetime import timedelta

import duckdb
import pytest
from evident import LOADS, Row, bounds, day, gathered, suggested, told

SHIFTED = "SET {0} = (SELECT other.{0} FROM recent AS other WHERE other._penstock_number = 8 AND {1})"


def test_days_go_by_their_hours_and_weekends_by_theirs(connection: duckdb.DuckDBPyConnection) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        peak = 14 if day(load).start.isoweekday() > 5 else 8
        return {
            "passengers": round(200 / (1 + (place - peak) ** 2) + dice.uniform(0, 20), 1),
            "chance": dice.random(),
        }

    recent = gathered(connection, row)
    names = suggested(recent)
    assert "mean, weekend)" in names["passengers by the hour"]
    assert "chance by the hour" not in names
    name = "passengers by the hour"
    assert told(recent, name) == 0
    assert (
        told(recent, name, SHIFTED.format("passengers", "other._penstock_place = (readings._penstock_place + 8) % 24"))
        == 1
    )
    assert told(recent, name, "SET passengers = 1") == 1


@pytest.mark.parametrize("odd", [math.inf, -math.inf, math.nan, 1e308])
def test_a_course_is_found_beside_numbers_that_have_no_mean(connection: duckdb.DuckDBPyConnection, odd: float) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        return {
            "warmth": 10 * math.sin(place / 4) + dice.random(),
            "odd": odd if place == 3 and load % 4 == 0 else math.sin(place / 4) + dice.random(),
        }

    assert "warmth by the hour" in suggested(gathered(connection, row))


def test_each_series_goes_by_its_own_hours(connection: duckdb.DuckDBPyConnection) -> None:
    peaks = {"harbour": 4, "school": 9, "market": 13, "theatre": 20}

    def row(dice: random.Random, load: int, place: int) -> Row:
        name, hour = list(peaks)[place % 4], place // 4
        return {
            "at": day(load).start.replace(tzinfo=None) + timedelta(hours=hour),
            "sensor": name,
            "walkers": round(100 * (place % 4) + 90 / (1 + abs(hour - peaks[name])) + dice.uniform(0, 9)),
        }

    recent = gathered(connection, row, rows=96)
    name = "walkers by the hour"
    assert '"sensor" AS series' in suggested(recent)[name].replace('\\"', '"')
    assert told(recent, name) == 0
    shifted = SHIFTED.format("walkers", "other._penstock_place = (readings._penstock_place + 32) % 96")
    assert told(recent, name, shifted) == 1


def test_one_value_lies_off_its_neighbours_only_so_far_and_shuffled_ones_are_told(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        height = 5 + load % 7
        return {
            "dust": round(50 + height * math.sin(place / 24 * 6) + dice.uniform(0, 1), 1),
            "kind": dice.choice("ab"),
        }

    recent = gathered(connection, row)
    name = "steps of dust"
    assert told(recent, name) == 0
    assert told(recent, name, "SET dust = dust + 30 WHERE _penstock_place = 11") == 1
    shuffled = SHIFTED.format("dust", "other._penstock_place = (readings._penstock_place * 7) % 24")
    assert told(recent, name, shuffled) == 1


def test_an_order_holds_where_columns_came_close_on_many_days_and_not_where_they_drift_apart_or_near(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        warmth = 10 + 8 * math.sin(place / 4) + load / 10
        wet = load % 3 == 0 and place % 5 == 0
        return {
            "warmth": round(warmth, 2),
            "dew_point": round(warmth - (0.2 if wet else dice.uniform(1, 12)), 2),
            # Indoors it was warmer all winter, by less from day to day.
            "indoors": round(warmth + 0.5 + (LOADS - load) / 4 + dice.uniform(0, 1), 2),
        }

    names = suggested(gathered(connection, row))
    assert "at_most=0.0834" in names['"dew_point" <= "warmth"']
    assert '"warmth" <= "indoors"' not in names


def test_values_that_end_at_a_wall_do_not_grow_by_factors(connection: duckdb.DuckDBPyConnection) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        calm = load % 4 == 1
        return {
            "direction": round(dice.uniform(20, 60) if calm else 360 * (place + dice.random()) / 24, 1),
            "gust": round(8 ** (load % 5 / 2) * dice.uniform(1, 2), 2),
        }

    names = suggested(gathered(connection, row))
    assert 360 < bounds(names["between(direction)"])["high"] < 1200
    assert bounds(names["between(gust)"])["high"] > 1000


def test_rounded_numbers_are_told_by_what_divides_them_all(connection: duckdb.DuckDBPyConnection) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        return {"pressure": 1000 + dice.randint(0, 20), "fare": 5 * dice.randint(1, 40)}

    recent = gathered(connection, row)
    assert "by 2 or 3 or 5 or 7" not in suggested(recent)["divisors of fare"]
    assert told(recent, "divisors of pressure") == told(recent, "divisors of fare") == 0
    assert told(recent, "divisors of pressure", "SET pressure = pressure // 4 * 4") == 1
    assert told(recent, "divisors of fare", "SET fare = fare // 10 * 10") == 1


def test_what_never_was_missing_whole_is_expected_in_each_load_and_in_each_group(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        site = ["north", "south"][place % 2]
        away = load % 9 == 4 and site == "south"
        return {
            "site": site,
            "pressure": None if dice.random() < 0.3 else dice.random(),
            "rain": None if away or dice.random() < 0.3 else dice.random(),
            "snow": None if load % 2 else dice.random(),
        }

    recent = gathered(connection, row)
    names = suggested(recent)
    assert {"some pressure", "some rain"} <= set(names)
    assert "some snow" not in names
    name = "values of each site"
    assert "rain" not in names[name]
    assert told(recent, name) == 0
    assert told(recent, name, "SET pressure = NULL WHERE site = 'north'") == 1
    assert told(recent, name, "WHERE site = 'north'") == 0
