"""Names and keys that are easily taken for others, the whole way from a source to the warehouse and back again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from incremental import Place

from penstock import checks, sources
from penstock.model.specs import PipelineSpec
from penstock.orchestrate import rebuilding
from penstock.queries.text import identifier

LONG = "ä" * 31 + "x"
"""63 bytes, after which PostgreSQL would cut."""
NAMES = [
    "a.b", "a-b", "a_b", "a b", "select", "group", "order", "rowid", "r", "q", "row", 'q"', "a\nb", " ", ";--",
    LONG + "1", LONG + "2", "x" * 200, "filename", "file_row_number", "penstock_origin", "penstock_load_rows",
    "_penstock_position", "_penstock_order_load", "_penstock_file", "_penstock_row", "_penstock_rank",
    "created_at", "_load", "_order", "_created_at", "_valid_from", "_interval", "target_row", "best",
]  # fmt: skip
ROW: dict[str, Any] = {"a": {"b": "within"}, **{name: place for place, name in enumerate(NAMES)}}
MODES: list[dict[str, Any]] = [
    {"write": "append"},
    {"write": "replace"},
    {"write": "merge", "key": ["select", "a.b", "_penstock_row"]},
    {"write": "merge", "key": ["file_row_number"], "cursor": "_order"},
    {"write": "scd2", "key": ["rowid", "_load"]},
]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


@pytest.mark.parametrize("reading", MODES, ids=str)
def test_every_name_keeps_its_values_and_is_none_of_penstock_s(place: Place, reading: dict[str, Any]) -> None:
    place.checks = [checks.not_null("a.b"), checks.between("file_row_number__source", 0, 50, severity="quarantine")]
    source = sources.python(lambda: [ROW, {**ROW, "file_row_number": 99}], table="t", reconcile="hashes", **reading)
    place.good(source)
    place.good(source)
    assert place.column("SELECT count(*) FROM raw_t") == [2 if reading["write"] == "append" else 1]
    with place.workspace.warehouse.reading() as transaction:
        served = [column.name for column in transaction.columns("raw_t") or ()]
    assert len({name.lower() for name in served}) == len(served)
    assert {"a", "a.b", "a-b", "a_b", "select", "rowid", LONG + "1", LONG + "2", 'q"', "a\nb", "created_at"} <= {
        *served
    }
    theirs = [name for name in served if name in ROW and not name.startswith("_")]
    assert len(theirs) == len([name for name in ROW if not name.startswith("_")])
    (row,) = place.rows(f"SELECT DISTINCT {', '.join(map(identifier, theirs))} FROM raw_t")
    assert dict(zip(theirs, row, strict=True)) == {name: ROW[name] for name in theirs}


def test_a_name_with_a_dot_has_the_bounds_of_its_own_values_and_not_those_of_a_field(place: Place) -> None:
    """Both have one path in a Parquet file; a reader that trusts wrong bounds passes over rows."""
    table = pa.table({"a": [{"b": 1}, {"b": 2}], "a.b": [70, None]})
    pq.write_table(table, place.folder / "in.parquet")
    for name, source in (
        ("t", sources.python(table, table="t", write="replace", reconcile="hashes")),
        ("u", sources.files(str(place.folder / "in.parquet"), table="u", write="replace", reconcile="hashes")),
    ):
        place.good(source)
        (load,) = place.workspace.catalog.loads(f"raw_{name}")
        assert load.entry.files[0].statistics["a.b"] == (70, 70, 1)
        assert place.rows(f'SELECT a.b, "a.b" FROM raw_{name} ORDER BY 1') == [(1, 70), (2, None)]


TEXTS = ["a", "A", "a ", " a", "ä", "a\u0308", "😀", "😀😀", "", "\0", "a\0", "ß", "ss", "\u200fa", "1", "01", "1.0"]
NUMBERS = [0.0, -0.0, float("nan"), float("inf"), float("-inf"), 1.0, None]


@pytest.mark.parametrize("write", ["merge", "scd2"])
@pytest.mark.parametrize(("keys", "told_apart"), [(TEXTS, len(TEXTS)), (NUMBERS, 6)], ids=["texts", "numbers"])
def test_keys_are_compared_to_the_last_byte_and_stay_as_many(
    place: Place, write: str, keys: list[Any], told_apart: int
) -> None:
    rounds = [0]
    source = sources.python(
        lambda: [{"id": key, "n": rounds[0]} for key in (*keys, *reversed(keys))], table="t", key="id", write=write
    )
    for _ in range(3):
        rounds[0] += 1
        place.good(source)
        current = "WHERE _valid_to IS NULL" if write == "scd2" else ""
        assert place.rows(f"SELECT count(*), min(n) FROM raw_t {current}") == [(told_apart, rounds[0])]
    rebuilding.rebuild(
        place.workspace, {"p": PipelineSpec(name="p", sources=(source,))}, rebuilding.Rebuild(recompute=True)
    )
    assert place.rows(f"SELECT count(*) FROM raw_t {current}") == [(told_apart,)]


@pytest.mark.parametrize("key", [["id"], ["id", "part"]], ids=str)
def test_null_keys_do_not_grow_from_run_to_run(place: Place, key: list[str]) -> None:
    rows = [{"id": None, "part": None, "n": 1}, {"id": 1, "part": None, "n": 1}, {"id": None, "part": 1, "n": 1}]
    source = sources.python(lambda: rows, table="t", key=key, write="merge")
    for number in range(3):
        rows = [{**row, "n": number} for row in rows]
        place.good(source)
    assert place.rows("SELECT count(*), min(n) FROM raw_t") == [(2 if key == ["id"] else 3, 2)]
