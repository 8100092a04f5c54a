"""The hundred seeded mistakes: a list of a hundred, none of which does nothing, made alike each time from a seed."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from benchmarks.mistakes import page
from benchmarks.mistakes.__main__ import main
from benchmarks.mistakes.apart import judged_apart
from benchmarks.mistakes.batches import CLEAN, Batch, Batches, History
from benchmarks.mistakes.catalogue import MISTAKES
from benchmarks.mistakes.judging import Alarm, judged, merged
from benchmarks.mistakes.tables import AIR, PARKING, TABLES

SEED = 1


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Batches]:
    made = Batches(tmp_path_factory.mktemp("batches"))
    yield made
    made.close()


def digest(batch: Batch) -> str:
    return hashlib.sha256(batch.file.read_bytes()).hexdigest()


def alike(one: pa.Table, other: pa.Table) -> bool:
    """Say whether two tables have the same columns of the same types, and the same rows in the same order."""
    types = [[(field.name, field.type) for field in table.schema] for table in (one, other)]
    return types[0] == types[1] and all(one[name].equals(other[name]) for name in one.column_names)


def test_a_hundred_mistakes_are_listed_and_each_is_another_one() -> None:
    assert len(MISTAKES) == 100
    assert len({mistake.name for mistake in MISTAKES}) == 100
    assert len({mistake.about for mistake in MISTAKES}) == 100
    assert len({mistake.family for mistake in MISTAKES}) == 10


def test_the_tables_have_days_enough_and_some_are_held_out(batches: Batches) -> None:
    assert len(TABLES) >= 6
    assert sum(table.held_out for table in TABLES) >= 3
    for table in TABLES:
        days = batches.days(table.name)
        assert len(days) >= CLEAN + 31, table.name
        assert [batch.day for batch in days] == sorted({batch.day for batch in days})
        assert all(pq.read_metadata(batch.file).num_rows > 0 for batch in days)


def test_the_declared_columns_are_there_and_keys_tell_rows_apart(batches: Batches) -> None:
    for table in TABLES:
        for batch in batches.judged(table.name):
            read = pq.read_table(batch.file)
            declared = {
                *table.key, *table.numbers, *table.categories, *table.texts, *table.references, *table.units,
                *table.totals, *table.redundant, *table.place, *sum((*table.bounded, *table.dependent), ()),
            }  # fmt: skip
            assert declared <= set(read.column_names), table.name
            assert {str(read.schema.field(name).type) for name in table.numbers} <= {"int64", "double"}, table.name
            keys = read.select(table.key).group_by(table.key).aggregate([])
            assert keys.num_rows == read.num_rows, f"{table.name} {batch.day}"


def test_values_that_cannot_be_are_named_as_faults_of_the_source(batches: Batches) -> None:
    named = [(table.name, day) for table in TABLES for day in table.faults]
    assert ("wind", "2014-06-08") in named
    coldest = {"celsius": -273.15, "fahrenheit": -459.67}
    for table in TABLES:
        assert set(table.faults) <= {batch.day for batch in batches.judged(table.name)}
        for batch in batches.judged(table.name):
            rows = duckdb.read_parquet(str(batch.file))
            fault = table.faults.get(batch.day)
            if fault is not None:
                assert len(rows.filter(fault.where).fetchall()) == fault.rows, f"{table.name} {batch.day}"
            for column, unit in table.units.items():
                if unit in coldest and (fault is None or fault.column != column):
                    assert not rows.filter(f"{column} < {coldest[unit]}").fetchall(), f"{table.name} {batch.day}"


def test_each_mistake_changes_the_batch_wherever_it_is_made_and_the_clean_one_stays(batches: Batches) -> None:
    made: dict[str, list[str]] = defaultdict(list)
    for batch, mistakes in batches.places(SEED, everywhere=True).items():
        clean, before = pq.read_table(batch.file), digest(batch)
        for mistake in mistakes:
            hurt = batches.hurt(batch, mistake, SEED)
            nothing = alike(pq.read_table(hurt.file), clean)
            assert not nothing, f"{mistake.name} does nothing to {batch.table} {batch.day}"
            hurt.file.unlink()
            made[mistake.name].append(batch.table)
        assert digest(batch) == before
    assert set(made) == {mistake.name for mistake in MISTAKES}
    assert not {name for name, tables in made.items() if len(tables) < 2}


def test_a_mistake_follows_from_its_seed(batches: Batches, tmp_path: Path) -> None:
    again = Batches(tmp_path, [PARKING, AIR])
    other = 0
    for table in (PARKING, AIR):
        batch, same = batches.drawn(table.name, SEED), again.drawn(table.name, SEED)
        assert digest(batch) == digest(same)
        for mistake in MISTAKES:
            if not batches.applies(mistake, batch):
                continue
            first = digest(batches.hurt(batch, mistake, SEED))
            assert first == digest(again.hurt(same, mistake, SEED)), f"{mistake.name} in {table.name}"
            other += first != digest(batches.hurt(batch, mistake, SEED + 1))
    again.close()
    assert other > 80


def test_a_round_makes_each_mistake_once_and_the_places_follow_from_the_seed(batches: Batches) -> None:
    def places(seed: int) -> dict[str, str]:
        return {
            mistake.name: f"{batch.table} {batch.day}"
            for batch, mistakes in batches.places(seed).items()
            for mistake in mistakes
        }

    assert set(places(1)) == {mistake.name for mistake in MISTAKES}
    assert places(1) == places(1) != places(2)
    assert sum(map(len, batches.places(1).values())) == 100


def test_who_looks_at_columns_and_emptiness_alone_misses_most(batches: Batches) -> None:
    result = judged(batches, "benchmarks.mistakes.judging:schema_and_emptiness", [SEED])
    caught = {case.mistake for case in result.cases if case.alarms}
    assert {"empty", "column missing", "column renamed", "column added", "decimal comma", "columns shifted"} <= caught
    missed = {case.mistake for case in result.missed}
    assert {"order lost", "sign lost", "duplicates", "zone lost", "unknown code"} <= missed
    assert result.false_alarms == ()
    assert result.clean == {table.name: CLEAN for table in TABLES}


def suspicious(history: History, batch: Batch) -> Sequence[Alarm]:
    """Finds fault with whatever comes."""
    return [Alarm("always", "everything")]


def test_an_alarm_that_the_clean_batch_raises_too_catches_nothing(batches: Batches) -> None:
    result = judged(batches, f"{__name__}:suspicious", [SEED])
    assert len(result.missed) == 100
    assert len(result.false_alarms) == CLEAN * len(TABLES)


def minding_the_cold(history: History, batch: Batch) -> Sequence[Alarm]:
    """Finds fault with one column, whatever comes."""
    return [Alarm("between(outside_temperature)"), Alarm("drift: mean", "outside_temperature")]


def test_an_alarm_about_a_fault_of_the_source_is_not_a_false_one(batches: Batches) -> None:
    result = judged(batches, f"{__name__}:minding_the_cold", [SEED], only=["wind"])
    assert [(found.day, len(found.alarms)) for found in result.faults] == [("2014-06-08", 2), ("2014-06-09", 2)]
    days = {found.day for found in result.false_alarms}
    assert len(days) == CLEAN - 2
    assert days.isdisjoint(found.day for found in result.faults)
    other = judged(batches, f"{__name__}:suspicious", [SEED], only=["wind"])
    # An alarm that does not name the column is false on that day, too, and the fault is a miss.
    assert len(other.false_alarms) == CLEAN
    assert [found.alarms for found in other.faults] == [(), ()]


def test_tables_judged_apart_give_the_same_result_together(batches: Batches) -> None:
    judge = "benchmarks.mistakes.judging:schema_and_emptiness"
    apart = [judged(batches, judge, [SEED], only=[table.name]) for table in TABLES]
    assert {case.table for case in apart[0].cases} == {TABLES[0].name}
    assert merged(apart) == judged(batches, judge, [SEED])


def dying_in_air(history: History, batch: Batch) -> Sequence[Alarm]:
    """Takes its process down with it, in one table."""
    if history.table == AIR.name:
        os._exit(3)
    return [Alarm("always")]


def test_a_table_whose_judge_crashes_is_named_and_the_others_are_judged() -> None:
    result = judged_apart((AIR, PARKING), f"{__name__}:dying_in_air", [SEED], everywhere=False, processes=1)
    assert list(result.crashed) == [AIR.name]
    assert result.clean == {PARKING.name: CLEAN} == dict(Counter(found.table for found in result.false_alarms))
    told = page.shown(result.as_json())
    assert "Not judged: air, where the judge crashed: BrokenProcessPool" in told
    with pytest.raises(RuntimeError, match="air"):
        judged_apart((AIR,), f"{__name__}:dying_in_air", [SEED], everywhere=False, processes=1)


def test_files_of_an_earlier_time_are_not_made_again(tmp_path: Path) -> None:
    def looked() -> tuple[dict[str, list[str]], dict[Path, int]]:
        made = Batches(tmp_path, [PARKING, AIR])
        places = {batch.day: [each.name for each in listed] for batch, listed in made.places(SEED).items()}
        files = {batch.file: batch.file.stat().st_mtime_ns for name in made.tables for batch in made.days(name)}
        made.close()
        return places, files

    assert looked() == looked()


def seeing_no_mistakes(history: History, batch: Batch) -> Sequence[Alarm]:
    """Checks what a judge is given: the days before, none of this day or later, none of them hurt."""
    days = [known.day for known in history.batches]
    assert days == sorted(days)
    assert days[-1] < batch.day
    assert len(days) >= 43
    assert all("hurt" not in known.file.parts for known in history.batches)
    assert all(file.exists() for file in history.related.values())
    return []


def test_a_judge_is_given_the_clean_days_before_and_nothing_else(batches: Batches) -> None:
    assert len(judged(batches, f"{__name__}:seeing_no_mistakes", [SEED]).missed) == 100


def test_the_command_tells_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--tables", "air,house", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["made"] == len(told["cases"]) == 100 - len(told["impossible"])
    assert told["clean_batches"] == 2 * CLEAN
    assert "cents for euros" in told["impossible"]
    text = page.shown(told)
    assert f"**{told['caught']} of {told['made']} caught**" in text
    assert "frozen clock (" in text.partition("Missed: ")[2]


@pytest.mark.parametrize("arguments", [["--tables", "flight"], ["--judge", "benchmarks.mistakes.judging:nobody"]])
def test_what_is_not_there_is_named(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert arguments[1].rpartition(":")[2] in capsys.readouterr().err


def test_the_page_is_that_of_the_code_and_the_kept_results() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.page(), "run: .venv/bin/python -m benchmarks.mistakes.page"
