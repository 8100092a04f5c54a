"""The lake is lost, or an older copy of it is put back, while catalog or warehouse are still those of the other one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from incremental import Place

import penstock
from penstock import sources
from penstock.errors import ConfigurationError, DataError
from penstock.model.receipts import State
from penstock.model.specs import PipelineSpec, SourceSpec
from penstock.orchestrate import indexing, rebuilding, running

ROWS = [{"id": n, "at": n} for n in range(1, 6)]
MODES: list[dict[str, Any]] = [
    {"write": "append", "cursor": "at"},
    {"write": "merge", "key": "id", "cursor": "at"},
    {"write": "replace"},
]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


def source(rows: int, reading: dict[str, Any]) -> SourceSpec:
    return sources.python(lambda: ROWS[:rows], table="t", **reading)


def goes_back(place: Place, reading: dict[str, Any], *, gone: bool) -> None:
    """Land twice, then put the lake back to what it was after the first time, or to nothing."""
    place.good(source(1, reading))
    shutil.copytree(place.folder / "lake", place.folder / "copy")
    place.good(source(2, reading))
    place.close()
    shutil.rmtree(place.folder / "lake")
    if not gone:
        (place.folder / "copy").rename(place.folder / "lake")


def mended(place: Place, reading: dict[str, Any]) -> list[int]:
    """Do what the sentences say, and return what the warehouse has after the next run."""
    indexing.rebuild(place.workspace)
    spec = PipelineSpec(name="p", sources=(source(3, reading),))
    rebuilding.rebuild(place.workspace, {"p": spec}, rebuilding.Rebuild())
    place.good(spec.sources[0])
    assert place.good(spec.sources[0]).state is State.UNCHANGED
    return place.column("SELECT id FROM raw_t ORDER BY id")


@pytest.mark.parametrize("reading", MODES, ids=lambda reading: str(reading["write"]))
@pytest.mark.parametrize("gone", [True, False], ids=["gone", "older"])
def test_a_lake_that_is_not_the_indexed_one_is_refused(place: Place, reading: dict[str, Any], gone: bool) -> None:
    goes_back(place, reading, gone=gone)
    says = "the lake has nothing" if gone else "the lake ends at 2"
    sentence = rf"of raw_t the catalog has entry 4.*{says}.*doctor --rebuild-catalog"
    with pytest.raises(DataError, match=sentence):
        running.plan(place.workspace, PipelineSpec(name="p", sources=(source(3, reading),)), None)
    with pytest.raises(DataError, match=sentence):
        place.run(source(3, reading))
    assert place.column("SELECT max(id) FROM raw_t") == [2]
    assert mended(place, reading) == [1, 2, 3]


@pytest.mark.parametrize("reading", MODES, ids=lambda reading: str(reading["write"]))
@pytest.mark.parametrize("gone", [True, False], ids=["gone", "older"])
def test_a_warehouse_of_another_lake_is_not_taken_for_up_to_date(
    place: Place, reading: dict[str, Any], gone: bool
) -> None:
    goes_back(place, reading, gone=gone)
    (place.folder / "catalog.db").unlink()
    for _ in range(2):
        run = place.run(source(3, reading))
        assert run.state is State.FAILED
        assert "The warehouse was filled from another lake" in run.error
        assert "penstock rebuild" in run.error
    assert mended(place, reading) == [1, 2, 3]


def test_a_lake_that_another_catalog_has_filled_again_is_seen_by_the_moment_of_its_entries(place: Place) -> None:
    goes_back(place, MODES[0], gone=True)
    (place.folder / "catalog.db").rename(place.folder / "mine.db")
    (place.folder / "w.duckdb").unlink()
    for rows in (1, 2, 3):
        place.good(source(rows, MODES[0]))
    place.close()
    (place.folder / "mine.db").replace(place.folder / "catalog.db")
    with pytest.raises(DataError, match="entry 4 of raw_t is another one"):
        place.run(source(4, MODES[0]))


def test_two_machines_with_catalogs_of_their_own_take_turns_at_one_lake(place: Place) -> None:
    catalog = place.folder / "catalog.db"
    for rows, machine in ((1, "a"), (2, "b"), (3, "a"), (4, "b"), (5, "b")):
        its_own = place.folder / f"{machine}.db"
        if its_own.exists():
            its_own.rename(catalog)
        place.good(source(rows, MODES[0]))
        assert place.column("SELECT id FROM raw_t ORDER BY id") == list(range(1, rows + 1))
        place.close()
        catalog.rename(its_own)


@pytest.mark.parametrize(
    ("reading", "rows"),
    [
        ({"write": "replace"}, [1, 2, 0, 1, 1]),
        ({"write": "append"}, [1, 3, 3, 4, 5]),
        ({"write": "merge", "key": "a"}, [1, 3, 3, 4, 4]),
        ({"write": "scd2", "key": "a"}, [1, 3, 3, 4, 4]),
    ],
    ids=lambda given: given.get("write") if isinstance(given, dict) else None,
)
def test_what_is_ingested_without_a_raw_zone_goes_on_from_what_the_table_has(
    tmp_path: Path, reading: dict[str, Any], rows: list[int]
) -> None:
    given = [[{"a": 1}], [{"a": 2}, {"a": 3}], [], [{"a": 9}], [{"a": 9}]]
    target = str(tmp_path / "w.duckdb")
    found = [penstock.ingest(data, to=target, table="t", raw=False, **reading).rows for data in given]
    assert found == rows
    with pytest.raises(ConfigurationError, match="where reading stopped stands in the raw zone"):
        penstock.ingest([{"a": 1}], to=target, table="t", raw=False, write="append", cursor="a")


def test_a_raw_zone_that_is_gone_doubles_no_row_of_an_ingest(tmp_path: Path) -> None:
    target = str(tmp_path / "w.duckdb")
    for table, write in (("added", "append"), ("made", "replace")):
        penstock.ingest(ROWS, to=target, table=table, write=write)
    shutil.rmtree(tmp_path / "w.lake")
    assert penstock.ingest(ROWS[:2], to=target, table="made", write="replace").rows == 2
    with pytest.raises(DataError, match="nobody knows where reading stopped"):
        penstock.ingest(ROWS, to=target, table="added", write="append")
    assert penstock.ingest(ROWS, to=target, table="added", write="append", raw=False).rows == 10
