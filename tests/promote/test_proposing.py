from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from promote_world import World, day

from penstock.errors import BugError, DataError
from penstock.model.codec import decode, encode
from penstock.model.entries import CheckFailure, CheckReport, DataFile, Entry, EntryKind
from penstock.model.releases import Candidate
from penstock.promote.comparison import Sides, compare
from penstock.promote.proposing import unchanged
from penstock.promote.versions import freeze
from penstock.stores.engine import LocalEngine
from penstock.stores.lake import DeltaLake

_UNITED = [HealthCheck.function_scoped_fixture]


def test_the_first_candidate_says_what_is_new(world: World) -> None:
    world.version(
        "delays", "SELECT i AS id, i / 2 AS half, i % 2 = 0 AS even, 'w' || i % 3 AS word FROM range(10) t(i)"
    )
    found = world.propose("delays")
    (change,) = found.changes
    assert (change.before, change.after, change.rows_before, change.rows_after) == (None, 1, 0, 10)
    assert (change.added, change.removed) == (10, 0)
    assert change.columns == ("the table delays is new, with 4 columns",)
    assert change.figures == {"id": (None, 4.5), "half": (None, 2.25), "even": (None, 0.5), "word": (None, 3)}
    assert (found.against, found.gate, found.pipeline) == (0, (), "flights")


def test_the_same_state_is_the_same_candidate_written_once(world: World) -> None:
    world.version("delays", "SELECT 1 AS id")
    first = world.propose("delays")
    path = world.root / "staging" / "lake" / "_candidates" / f"{first.id}.json"
    written = path.stat().st_mtime_ns
    assert world.propose("delays") == first
    assert path.stat().st_mtime_ns == written
    assert decode(Candidate, path.read_bytes(), where="it") == first
    assert encode(first) == path.read_bytes()
    ids = {first.id}
    world.promote("delays")
    ids.add(world.propose("delays").id)
    world.version("delays", "SELECT 2 AS id")
    ids.add(world.propose("delays").id)
    ids.add(world.propose("delays", pipeline="other").id)
    ids.add(world.propose("delays", "planes").id)
    assert len(ids) == 5


def test_nothing_to_promote_is_unchanged_and_not_gated(world: World) -> None:
    world.version("delays", "SELECT 1 AS id")
    world.promote("delays")
    found = world.propose("delays")
    assert unchanged(found)
    assert found.gate == ()
    assert (found.changes[0].added, found.changes[0].removed, found.changes[0].figures) == (0, 0, {})


def test_the_candidate_stays_what_it_was_when_staging_moves_on(world: World) -> None:
    world.version("delays", "SELECT 1 AS id")
    before = world.propose("delays")
    world.version("delays", "SELECT 2 AS id")
    assert [file.path for file in before.tables[0].files] == ["part-1-0.parquet"]
    assert world.propose("delays").tables[0].number == 2


def test_live_files_are_folded_over_intervals(world: World) -> None:
    for number in (0, 1, 2):
        world.version("delays", f"SELECT DATE '2013-01-01' + {number} AS day", interval=day(number))
    world.version("delays", "SELECT DATE '2013-01-02' AS day UNION ALL SELECT DATE '2013-01-02'", interval=day(1))
    frozen = freeze(world.staging.table("delays"))
    assert frozen is not None
    assert (frozen.version.number, frozen.version.rows) == (4, 4)
    assert [file.path.rpartition("/")[2] for file in frozen.version.files] == [
        "part-1-0.parquet",
        "part-4-0.parquet",
        "part-3-0.parquet",
    ]


def _failed(severity: str, name: str = "unique") -> CheckReport:
    failure = CheckFailure(check=name, severity=severity, columns=("id",), count=2, message="2 rows were not unique")
    return CheckReport(rows=3, failures=(failure,))


def test_a_failed_check_closes_the_gate_and_a_warning_is_noted(world: World) -> None:
    world.version("delays", "SELECT 1 AS id", report=_failed("error"))
    world.version("planes", "SELECT 1 AS id", report=_failed("warn", "seats"))
    found = world.propose("delays", "planes")
    assert found.gate == ("Check 'unique' failed in version 1 of delays: 2 rows were not unique",)
    assert [table.failures for table in found.tables] == [(), ("seats",)]
    world.version("delays", "SELECT 2 AS id")
    assert world.propose("delays", "planes").gate == ()


def test_a_failed_interval_closes_the_gate_until_it_is_rebuilt(world: World) -> None:
    world.version("delays", "SELECT 1 AS id", interval=day(0), report=_failed("error"))
    world.version("delays", "SELECT 2 AS id", interval=day(1))
    assert len(world.propose("delays").gate) == 1
    world.version("delays", "SELECT 3 AS id", interval=day(0))
    assert world.propose("delays").gate == ()
    # An interval that came out empty and failed for it has no file, and counts all the same.
    world.version("delays", interval=day(2), report=_failed("error", "row_count"))
    world.version("delays", "SELECT 4 AS id", interval=day(1))
    assert "row_count" in world.propose("delays").gate[0]
    world.version("delays", "SELECT 5 AS id", interval=day(2))
    assert world.propose("delays").gate == ()


def test_many_failures_are_bounded(world: World) -> None:
    for number in range(9):
        world.version("delays", f"SELECT {number} AS id", interval=day(number), report=_failed("error"))
    gate = world.propose("delays").gate
    assert len(gate) == 6
    assert gate[-1] == "4 more checks failed in delays"


def test_a_table_without_a_version_closes_the_gate(world: World) -> None:
    world.version("delays", "SELECT 1 AS id")
    found = world.propose("delays", "planes")
    assert found.gate == ("Table planes of pipeline flights has no version yet: penstock run flights",)
    assert [table.table for table in found.tables] == ["delays"]


def test_a_version_that_lies_about_its_rows_is_a_bug(world: World) -> None:
    world.version("delays", "SELECT 1 AS id")
    table = world.staging.table("delays")
    table.commit(replace(table.entry(1), number=2, files=(), rows=7))
    with pytest.raises(BugError, match="Version 2 of delays says 7 rows, but its files have 1"):
        world.propose("delays")


def test_other_entries_do_not_make_a_version(world: World) -> None:
    table = world.staging.table("raw_flights")
    assert freeze(table) is None
    table.commit(Entry(table="raw_flights", number=1, previous=None, kind=EntryKind.LOAD, created_at=world.clock()))
    assert freeze(table) is None


def test_only_files_that_differ_are_compared(world: World) -> None:
    for number in (0, 1):
        world.version("delays", f"SELECT DATE '2013-01-01' + {number} AS day FROM range(100)", interval=day(number))
    release = world.promote("delays")
    world.version("delays", "SELECT DATE '2013-01-02' AS day FROM range(99)", interval=day(1))
    # The shared file need not even be there.
    shared = next(file for file in release.tables[0].files if "2013-01-01" in file.path)
    for lake in (world.root / "staging" / "lake", world.lake):
        (lake / "delays" / shared.path).unlink()
    (change,) = world.propose("delays").changes
    assert (change.added, change.removed, change.rows_after) == (0, 1, 199)
    differing = next(file for file in release.tables[0].files if file != shared)
    (world.lake / "delays" / differing.path).unlink()
    world.version("delays", "SELECT DATE '2013-01-02' AS day FROM range(98)", interval=day(1))
    with pytest.raises(DataError, match=r"A data file of delays cannot be read.* penstock doctor"):
        world.propose("delays")


def _nowhere(table: str, files: Sequence[DataFile]) -> list[str]:
    return [f"/nowhere/{table}/{file.path}" for file in files]


def test_versions_of_equal_content_are_not_compared(world: World) -> None:
    world.version("delays", "SELECT DATE '2013-01-01' AS day")
    first = freeze(world.staging.table("delays"))
    world.version("delays", "SELECT DATE '2013-01-01' AS day")
    second = freeze(world.staging.table("delays"))
    assert first is not None
    assert second is not None
    sides = Sides(world.engine, _nowhere, _nowhere)
    one, other = replace(first.version, content="aa"), replace(second.version, content="aa")
    change = compare(one, other, sides)
    assert (change.before, change.after, change.added, change.removed) == (1, 2, 0, 0)
    with pytest.raises(DataError):
        compare(one, replace(other, content="bb"), sides)


def test_a_table_that_staging_lost_is_not_said_to_be_given_up(world: World) -> None:
    world.version("delays", "SELECT 1 AS id")
    world.version("planes", "SELECT 1 AS id")
    world.promote("delays", "planes")
    shutil.rmtree(world.root / "staging" / "lake" / "planes")
    world.staging = DeltaLake(world.root / "staging" / "lake")
    found = world.propose("delays", "planes")
    assert found.changes[1].columns == ("the table planes leaves production: staging has no version of it",)
    assert found.gate == ("Table planes of pipeline flights has no version yet: penstock run flights",)


def test_figures_of_production_are_not_measured_again(world: World) -> None:
    world.version("delays", "SELECT 1 AS id, 'a' AS word")
    release = world.promote("delays")
    world.version("delays", "SELECT 3 AS id, 'b' AS word UNION ALL SELECT 4, 'c'")
    path = world.root / "staging" / "lake" / "_candidates" / f"{release.candidate}.json"
    report = decode(Candidate, path.read_bytes(), where="it")
    path.write_bytes(
        encode(replace(report, changes=(replace(report.changes[0], figures={"id": (None, 99.0), "word": (None, 7)}),)))
    )
    assert world.propose("delays").changes[0].figures == {"id": (99.0, 3.5), "word": (7, 2)}


def test_a_wide_table_shows_twelve_figures(world: World) -> None:
    columns = ", ".join(f"{number} AS c{number}" for number in range(40))
    world.version("wide", f"SELECT {columns}")
    assert list(world.propose("wide").changes[0].figures) == [f"c{number}" for number in range(12)]


def test_figures_that_are_no_numbers_can_be_kept(world: World) -> None:
    world.version("odd", "SELECT 'NaN'::DOUBLE AS a, 'Infinity'::DOUBLE AS b, NULL::INTEGER AS c, 1::DECIMAL(9,2) AS d")
    found = world.propose("odd")
    assert found.changes[0].figures == {"a": (None, "nan"), "b": (None, "inf"), "c": (None, None), "d": (None, 1.0)}
    assert world.propose("odd") == found


_CELLS = st.tuples(st.sampled_from([None, 0, 1, 2]), st.sampled_from([None, "", "a", "b"]))


@settings(max_examples=15, deadline=timedelta(seconds=10), suppress_health_check=_UNITED)
@given(before=st.lists(_CELLS, max_size=12), after=st.lists(_CELLS, max_size=12))
def test_rows_are_compared_as_multisets(
    engine: LocalEngine, tmp_path_factory: pytest.TempPathFactory, before: list[Any], after: list[Any]
) -> None:
    world = World(tmp_path_factory.mktemp("compare"), engine)
    old = world.version("t", *_queries(before))
    first = freeze(world.staging.table("t"))
    world.version("t", *_queries(after))
    second = freeze(world.staging.table("t"))
    assert first is not None
    assert second is not None
    assert old.rows == len(before)
    folder = Path(world.root / "staging" / "lake")

    def locate(table: str, files: Sequence[DataFile]) -> list[str]:
        return [str(folder / table / file.path) for file in files]

    change = compare(first.version, second.version, Sides(engine, locate, locate))
    gained, lost = Counter(after), Counter(before)
    assert change.added == (gained - lost).total()
    assert change.removed == (lost - gained).total()


def _queries(rows: list[Any]) -> list[str]:
    """Return one query per half of the rows, so that a version has several files."""
    halves = [rows[: len(rows) // 2], rows[len(rows) // 2 :]]
    typed = "SELECT NULL::INTEGER AS number, NULL::VARCHAR AS word WHERE false"
    return [
        " UNION ALL ".join([typed, *(f"SELECT {_sql(number)}, {_sql(word)}" for number, word in half)])
        for half in halves
    ]


def _sql(value: Any) -> str:
    return "NULL" if value is None else f"'{value}'" if isinstance(value, str) else str(value)
