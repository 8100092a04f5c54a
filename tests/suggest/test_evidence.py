"""What recent loads suggest, and what they do not: each rule on rows in which it holds, by chance or not."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from evident import LOADS, ROWS, Row, bounds, day, gathered, level, suggested

from penstock.checks.suggested import made
from penstock.orchestrate.backtesting import Backtest
from penstock.stores.objects import LocalObjects
from penstock.suggest import groups
from penstock.suggest.proposing import called, propose
from penstock.suggest.recent import Recent


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
            "warmth": round(0.06 * dice.randint(10, 45), 2),
            "size": level(dice, [1.0, 2.5, 40.0, 41.0, 300.0]),
        }

    names = suggested(gathered(connection, row))
    assert "in_set(size)" in names
    assert "in_set(warmth)" not in names
    assert "/ 0.03" in names["steps between values of warmth"]


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
    assert 'checks.in_set("kind", ["Cat", "Dog"], at_most=1)' in names.values()


def test_each_large_group_and_most_small_ones_keep_their_place_beside_the_others(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        kind, shop = place % 10, place % 60
        return {
            "kind": f"k{kind}",
            "shop": f"s{shop:02}",
            "price": kind + dice.random(),
            "takings": 10 * shop + dice.random(),
        }

    recent = gathered(connection, row, rows=120)
    queries = {called(each): str(each.arguments[0]) for each in propose(recent) if each.kind == "query"}
    names = ("price of each kind", "takings of most shop")
    connection.execute("CREATE TABLE readings AS SELECT * FROM recent WHERE _penstock_number = 1")

    def away() -> list[int]:
        return [len(connection.execute(queries[name]).fetchall()) for name in names]

    assert away() == [0, 0]
    # One of ten kinds is worth an alarm; of sixty shops with two rows each it takes more.
    connection.execute("UPDATE readings SET price = price + 5 WHERE kind = 'k9'")
    connection.execute("UPDATE readings SET takings = 300 WHERE shop IN ('s00', 's01')")
    assert ((found := away())[0] >= 1, found[1]) == (True, 0)
    connection.execute("UPDATE readings SET takings = takings % 256")
    assert away()[1] > 6


def test_a_total_that_some_loads_lack_is_none(connection: duckdb.DuckDBPyConnection) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        one, other = dice.randint(1, 90), dice.randint(1, 90)
        return {"one": one, "other": other, "both": one + other, "late": one - other if load % 2 else None}

    names = suggested(gathered(connection, row))
    assert any('"both"' in name and '"other"' in name and name.startswith("abs(") for name in names)
    assert not any('"late"' in name and name.startswith("abs(") for name in names)


def test_numbers_that_still_come_new_are_no_list(connection: duckdb.DuckDBPyConnection) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        # Degrees of one scale written on the other; now and then a warmer one comes.
        degrees = [0, 1, 3, 7, 8, 12, 20, 21, 22, 29, 30, 31, 40, *range(41, 41 + load // 8)]
        return {"warmth": round(1.8 * level(dice, degrees) + 32, 2)}

    assert "in_set(warmth)" not in suggested(gathered(connection, row))


def test_numbers_that_name_a_row_have_no_place_beside_others(connection: duckdb.DuckDBPyConnection) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        second = place % 2
        flight = 100 * second + 4 * place + dice.randint(0, 3)
        return {"line": "ab"[second], "flight": flight, "seats": 50 * second + dice.randint(1, 9)}

    def away(recent: Recent) -> set[str]:
        # Without the moment only line and flight, or flight alone, tell rows apart.
        columns = {name: type_ for name, type_ in recent.columns.items() if name != "at"}
        return {called(each) for each in groups.beside(replace(recent, columns=columns))}

    assert away(gathered(connection, row)) == {"seats of each line"}


def test_zero_where_none_ever_was_and_what_a_limit_cuts_are_told(connection: duckdb.DuckDBPyConnection) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        return {
            "gust": round(dice.uniform(1, 40), 1),
            "balance": round(dice.uniform(-5, 5), 2) or 0.01,
            "count": dice.randint(0, 9),
            "pressure": dice.uniform(990, 1010),
        }

    recent = gathered(connection, row)
    names = suggested(recent)
    assert {'"gust" <> 0', '"balance" <> 0'} <= set(names)
    assert not {'"count" <> 0', '"pressure" <> 0'} & set(names)
    connection.execute("CREATE TABLE readings AS SELECT * FROM recent WHERE _penstock_number = 1")
    (query,) = [str(each.arguments[0]) for each in propose(recent) if called(each) == "ends of gust"]
    assert connection.execute(query).fetchall() == []
    connection.execute("UPDATE readings SET gust = least(gust, 15)")
    assert len(connection.execute(query).fetchall()) == 1


def test_a_value_that_always_comes_about_as_often_is_missed_though_it_is_a_small_part(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        steady, now_and_then = place < 12, place < 12 + (40 if load % 9 == 0 else 5)
        return {"kind": "steady" if steady else "now and then" if now_and_then else "most"}

    code = suggested(gathered(connection, row, rows=240))["all of kind"]
    assert "steady" in code
    assert "now and then" not in code


@pytest.mark.parametrize(("most", "missed"), [(13, True), (7, False), (40, False)])
def test_a_value_that_comes_a_few_times_is_missed_unless_it_may_fail_to_come_by_chance(
    connection: duckdb.DuckDBPyConnection, most: int, missed: bool
) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        # Of 240 rows 8 to 12 are rare, 2 to 6, or 2 to 39: these come in heaps.
        least = 2 if most != 13 else 8
        times = least + load % (most - least)
        return {"kind": "rare" if place < times else "most"}

    assert ("rare" in suggested(gathered(connection, row, rows=240))["all of kind"]) == missed


def test_letters_that_only_a_wrong_encoding_makes_are_told(connection: duckdb.DuckDBPyConnection) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        name = level(dice, ["Âge d'or", "IRMÃ LUÍSA", "Zoë", "Bär", "Mária Kovács"])
        return {"name": f"{name} {dice.getrandbits(20):x}", "broken": name.encode().decode("cp1252", "replace")}

    recent = gathered(connection, row)
    (letters,) = [str(each.arguments[0]) for each in propose(recent) if called(each) == "letters of name"]
    assert "letters of broken" not in suggested(recent)
    wrong = connection.execute(
        f"SELECT count(*) FROM recent WHERE NOT ({letters.replace('name', 'broken')})"
    ).fetchall()
    assert wrong == [(LOADS * ROWS,)]


def test_what_comes_down_towards_zero_may_reach_it_and_what_ends_there_may_not(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        return {
            "warmth": 4 + (LOADS - load) // 4 + dice.randint(0, 14) + load % 3,
            "nights": dice.randint(1, 14),
        }

    names = suggested(gathered(connection, row))
    assert bounds(names["between(warmth)"])["low"] < 0
    assert bounds(names["between(nights)"])["low"] == 0
    assert '"nights" <> 0' in names
    assert '"warmth" <> 0' not in names


def test_greatest_values_that_differ_by_factors_leave_room_for_a_factor(connection: duckdb.DuckDBPyConnection) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        scale = 10 * 10 ** ((load * 7 % 11) / 10)
        return {"dust": round(scale * dice.uniform(0.2, 1), 1), "warmth": round(dice.uniform(5, 25), 1)}

    names = suggested(gathered(connection, row))
    assert bounds(names["between(dust)"])["high"] > 500
    assert bounds(names["between(warmth)"])["high"] < 40


def test_a_list_is_closed_only_if_each_value_came_in_many_loads(connection: duckdb.DuckDBPyConnection) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        rare = load % 6 == 0 and place == 5
        return {
            "sky": "squall" if rare else ["clear", "cloudy"][place % 2],
            "side": ["left", "right"][place % 2],
            "grade": 5 if rare else 1 + place % 3,
            "lane": 1 + place % 3,
        }

    names = suggested(gathered(connection, row))
    for what in ("in_set", "length", "shape"):
        closed, listed = (names.get(f"{what}({name})", names.get(f"{what} of {name}", "")) for name in ("side", "sky"))
        assert "at_most=1)" in closed, closed
        assert "at_most=0." in listed, listed
    assert "in_set(lane)" in names
    assert "in_set(grade)" not in names


def test_a_few_rows_of_one_of_several_moments_may_be_of_another_day(connection: duckdb.DuckDBPyConnection) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        at = day(load).start.replace(tzinfo=None) + timedelta(hours=place)
        return {"at": at, "ended": at + timedelta(minutes=dice.randint(1, 50))}

    recent = gathered(connection, row)
    inside = '"ended" >= :interval_start AND "ended" < :interval_end'
    assert "at_most" in suggested(recent)[inside]
    alone = replace(recent, columns={name: type_ for name, type_ in recent.columns.items() if name != "at"})
    assert "at_most" not in suggested(alone)[inside]


def test_shares_of_columns_with_few_values_are_those_of_a_few_rows(connection: duckdb.DuckDBPyConnection) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        seldom = place < 6 and load % 5 != 0
        return {"gust": dice.randint(20, 40) if seldom else None, "wind": dice.randint(0, 40)}

    names = suggested(gathered(connection, row))
    assert "ends of wind" in names
    assert "ends of gust" not in names


def test_where_most_values_are_zero_all_may_be_and_a_number_that_came_seldom_is_no_constant(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        return {
            "washing": 0 if place > 1 + load % 3 else dice.randint(1, 9),
            "power": 0 if place < 2 + load % 3 else dice.randint(1, 9),
            "grade": 1 if load % 6 == 0 and place == 5 else None,
            "shops": 77,
        }

    names = suggested(gathered(connection, row))
    zeros = {name: code for name, code in names.items() if "= 0)" in name}
    assert "max=1," in next(code for name, code in zeros.items() if "washing" in name)
    assert "max=1," not in next(code for name, code in zeros.items() if "power" in name)
    assert "in_set(shops)" in names
    assert "in_set(grade)" not in names


def test_a_gap_that_may_be_longer_than_a_year_is_no_limit(connection: duckdb.DuckDBPyConnection) -> None:
    def row(dice: random.Random, load: int, place: int) -> Row:
        # Some days the sensor is taken off for a while.
        off = {4: 1, 9: 18}.get(load % 10, 0) if place >= ROWS // 2 else 0
        at = day(load).start.replace(tzinfo=None) + timedelta(minutes=place, hours=off)
        return {"at": at, "level": dice.randint(1, 9)}

    assert not [name for name in suggested(gathered(connection, row)) if name.startswith("no_gaps")]
