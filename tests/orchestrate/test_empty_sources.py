"""Sources that give nothing: at first, in between, in every write mode. A table is emptied or refused, never stale."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from incremental import Place, notes

from penstock import sources
from penstock.model.receipts import State
from penstock.model.specs import PipelineSpec, SourceSpec, TransformSpec
from penstock.orchestrate import running

WHOLE: list[dict[str, Any]] = [
    {"write": "replace"},
    {"write": "merge", "key": "id", "deletes": "snapshot"},
    {"write": "scd2", "key": "id", "deletes": "snapshot"},
]
PARTLY: list[dict[str, Any]] = [{"write": "append"}, {"write": "merge", "key": "id"}, {"write": "scd2", "key": "id"}]
CURRENT = "SELECT id FROM raw_t {} ORDER BY id"
Give = Callable[[list[int]], SourceSpec]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


def table(rows: list[int]) -> pa.Table:
    return pa.table({"id": pa.array(rows, pa.int64()), "price": pa.array([1.5] * len(rows), pa.float64())})


def dictionaries(rows: list[int]) -> list[dict[str, Any]]:
    """Without rows nobody knows which columns there are."""
    return [{"id": row, "price": 1.5} for row in rows]


def giving(kind: str, place: Place, **reading: Any) -> Give:
    """Return what makes a source that gives just these rows."""

    def by_file(rows: list[int]) -> SourceSpec:
        folder = place.folder / "in"
        folder.mkdir(exist_ok=True)
        (folder / "a.csv").write_text("id,price\n" + "".join(f"{row},1.5\n" for row in rows))
        return sources.files(str(folder / "*.csv"), table="t", **reading)

    def by_files_that_vanish(rows: list[int]) -> SourceSpec:
        by_file(rows)
        if not rows:
            (place.folder / "in" / "a.csv").unlink()
        return sources.files(str(place.folder / "in" / "*.csv"), table="t", **reading)

    return {
        "table": lambda rows: sources.python(lambda: table(rows), table="t", **reading),
        "dictionaries": lambda rows: sources.python(lambda: dictionaries(rows), table="t", **reading),
        "file": by_file,
        "vanishing": by_files_that_vanish,
    }[kind]


def current(place: Place, reading: dict[str, Any]) -> list[int]:
    return place.column(CURRENT.format("WHERE _valid_to IS NULL" if reading["write"] == "scd2" else ""))


@pytest.mark.parametrize("kind", ["table", "dictionaries", "file", "vanishing"])
@pytest.mark.parametrize("reading", WHOLE, ids=lambda reading: str(reading["write"]))
def test_a_source_that_is_read_whole_empties_its_table_every_time(
    place: Place, reading: dict[str, Any], kind: str
) -> None:
    give = giving(kind, place, **reading)
    for rows in ([1, 2], [], [1, 2], [], [], [2], []):
        place.good(give(rows))
        assert current(place, reading) == rows
    assert place.good(give([])).state is State.UNCHANGED


@pytest.mark.parametrize("reading", WHOLE, ids=lambda reading: str(reading["write"]))
def test_a_table_that_must_not_be_emptied_keeps_its_rows_and_says_so(place: Place, reading: dict[str, Any]) -> None:
    give = giving("table", place, **reading, on_empty="refuse")
    place.good(give([1, 2]))
    for _ in range(2):
        run = place.run(give([]))
        assert run.state is State.FAILED
        assert "The source of t is empty, and its table would be emptied" in run.error
        assert current(place, reading) == [1, 2]
    place.good(give([3]))
    assert current(place, reading) == [3]


@pytest.mark.parametrize("kind", ["table", "dictionaries"])
@pytest.mark.parametrize("reading", PARTLY, ids=lambda reading: str(reading["write"]))
def test_nothing_new_touches_no_row(place: Place, reading: dict[str, Any], kind: str) -> None:
    give = giving(kind, place, **reading)
    place.good(give([1, 2]))
    before = place.rows("SELECT * FROM raw_t ORDER BY ALL")
    for _ in range(3):
        assert place.good(give([])).state is State.UNCHANGED
    assert place.rows("SELECT * FROM raw_t ORDER BY ALL") == before


@pytest.mark.parametrize("reading", [*WHOLE, *PARTLY, {"write": "append", "cursor": "id"}], ids=str)
def test_an_empty_first_run_makes_the_typed_table_and_what_is_below_it(place: Place, reading: dict[str, Any]) -> None:
    below = TransformSpec(table="dear", sql="SELECT id, price * 2 AS price FROM t")
    give = giving("table", place, **reading)
    for rows, state in (([], State.DONE), ([], State.UNCHANGED), ([7], State.DONE)):
        spec = PipelineSpec(name="p", sources=(give(rows),), transforms=(below,))
        run = running.run(place.workspace, spec, running.Asked())
        assert (run.state, run.error) == (state, "")
        assert place.rows("SELECT column_name, column_type FROM (DESCRIBE raw_t) LIMIT 2") == [
            ("id", "BIGINT"),
            ("price", "DOUBLE"),
        ]
        assert current(place, reading) == rows
        assert place.rows("SELECT id, price FROM dear") == [(row, 3.0) for row in rows]


@pytest.mark.parametrize("reading", WHOLE, ids=lambda reading: str(reading["write"]))
def test_a_first_run_without_even_columns_is_filled_by_the_next(place: Place, reading: dict[str, Any]) -> None:
    give = giving("dictionaries", place, **reading)
    place.good(give([]))
    assert place.rows("SELECT count(*) FROM raw_t") == [(0,)]
    place.good(give([1]))
    assert current(place, reading) == [1]


def test_files_that_are_gone_are_told(place: Place) -> None:
    give = giving("vanishing", place, write="replace")
    place.good(give([1]))
    assert "1 files that were read before are gone, as in/a.csv" in notes(place.good(give([])))
