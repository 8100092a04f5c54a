"""Quarantine files: whole or not there, read back, and refused when they are not what they should be."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock import checks
from penstock.errors import ConfigurationError, DataError, NotFoundError
from penstock.stores.objects import TEMPORARY
from penstock.validate import quarantine

PATH = "_quarantine/raw_flights/7.parquet"
BAD = [
    checks.between("month", 1, 12, severity="quarantine"),
    checks.not_null("id", severity="quarantine"),
]


@pytest.fixture
def flights(bench: Any) -> Any:
    return bench.land(pa.table({"id": [1, None, 3, None], "month": [0, 13, 3, 4], "_load": [7, 7, 7, 7]}), [1, 3])


def test_counts_by_reason(flights: Any) -> None:
    flights.check(*BAD)
    flights.check(BAD[0], quarantine_path="_quarantine/raw_flights/12.parquet")
    flights.check(BAD[0], quarantine_path="_quarantine/raw_flights_too/1.parquet")
    newest, older = quarantine.summarise(flights.objects, "raw_flights")
    assert (newest.number, newest.rows, dict(newest.reasons)) == (12, 2, {"between(month)": 2})
    assert (older.number, older.rows, older.path) == (7, 3, PATH)
    assert dict(older.reasons) == {"between(month)": 2, "not_null(id)": 2}
    assert quarantine.summarise(flights.objects, "raw_flights", [PATH]) == (older,)
    assert quarantine.summarise(flights.objects, "raw_planes") == ()


def test_rows_are_read_back_whole(flights: Any) -> None:
    flights.check(*BAD)
    found = quarantine.rows(flights.objects, PATH)
    assert found.column_names == ["_reasons", "_origin", "_origin_detail", "id", "month", "_load", "_file", "_row"]
    assert found.to_pylist()[1] == {
        "_reasons": ["between(month)", "not_null(id)"],
        "_origin": "flights.csv",
        "_origin_detail": '{"row":1}',
        "id": None,
        "month": 13,
        "_load": 7,
        "_file": flights.files[1].path,
        "_row": 0,
    }
    assert quarantine.rows(flights.objects, PATH, 1).num_rows == 1
    assert quarantine.rows(flights.objects, PATH, 0).num_rows == 0
    assert quarantine.rows(flights.objects, PATH, reason="not_null(id)")["month"].to_pylist() == [13, 4]
    assert quarantine.rows(flights.objects, PATH, reason="other").num_rows == 0


def test_what_a_crash_left_is_replaced_and_nothing_else_is_left(flights: Any) -> None:
    folder = flights.root / "_quarantine" / "raw_flights"
    flights.check(*BAD)
    whole = (folder / "7.parquet").read_bytes()
    (folder / "7.parquet").write_bytes(b"x" * len(whole))
    (folder / f"{TEMPORARY}7.parquet").write_bytes(b"half")
    flights.check(*BAD)
    assert (folder / "7.parquet").read_bytes() == whole
    assert [path.name for path in folder.iterdir()] == ["7.parquet"]


def test_a_place_that_cannot_be_written_is_a_sentence_and_leaves_nothing(flights: Any) -> None:
    (flights.root / "_quarantine").write_text("a file where a folder should be")
    with pytest.raises(ConfigurationError, match="file stands where a folder is needed"):
        flights.check(*BAD)
    assert (flights.root / "_quarantine").read_text() == "a file where a folder should be"
    assert flights.connection.execute(
        "SELECT count(*) FROM duckdb_views() WHERE view_name LIKE '_penstock%'"
    ).fetchall() == [(0,)]


def test_a_failed_write_leaves_no_half_file(flights: Any, tmp_path: Any) -> None:
    path = flights.root / "raw_flights" / flights.files[1].path
    later = checks.function(lambda _: path.unlink() is not None or True, name="unlink")
    with pytest.raises(Exception, match="raw_flights"):
        flights.check(*BAD, later)
    assert not [item for item in (flights.root / "_quarantine").rglob("*") if item.is_file()]


def test_what_is_no_quarantine_file(flights: Any) -> None:
    with pytest.raises(NotFoundError, match="no such quarantine file"):
        quarantine.rows(flights.objects, PATH)
    place = flights.objects.uri(PATH)
    pq.write_table(pa.table({"a": [1]}), place)
    with pytest.raises(DataError, match="no quarantine file"):
        quarantine.rows(flights.objects, PATH)
    flights.objects.replace(PATH, b"PAR1 torn")
    with pytest.raises(DataError, match="cannot be read"):
        quarantine.summarise(flights.objects, "raw_flights")
