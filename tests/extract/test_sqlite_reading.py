from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from draining import Read, read, sql_request

from penstock.errors import ConfigurationError, DataError, TransientError
from penstock.extract.database.sqlite.source import SqliteSource
from penstock.model.interval import Interval
from penstock.model.specs import WriteMode

Make = Callable[[str], str]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def run(script: str) -> str:
        with closing(sqlite3.connect(tmp_path / "ops.db")) as connection, connection:
            connection.executescript(script)
        connection.close()
        return f"sqlite:///{tmp_path / 'ops.db'}"

    return run


def take(url: str, **fields: Any) -> Read:
    fields.setdefault("options", {"table": "t"})
    return read(SqliteSource(), sql_request("sqlite", url, **fields))


def test_declared_types_become_exact_arrow_types(make: Make) -> None:
    url = make(
        """CREATE TABLE t (i INTEGER, r REAL, s TEXT, b BLOB, o BOOLEAN, d DATE, m TIMESTAMP, z DATETIME,
           n DECIMAL(12,2), w DECIMAL(30,2), free NUMERIC, clock TIME);
           INSERT INTO t VALUES (9007199254740993, 1.5, 'é', x'00ff', 1, '0001-01-01', '2013-01-05 10:00:00.000001',
             '2013-01-05T10:00:00Z', 12.34, 5, 2.5, '10:00:00'), (NULL, NULL, '', NULL, NULL, NULL, NULL, NULL,
             1000000, NULL, NULL, NULL);"""
    )
    found = take(url)
    assert found.types == {
        "i": "int64",
        "r": "double",
        "s": "string",
        "b": "binary",
        "o": "bool",
        "d": "date32[day]",
        "m": "timestamp[us]",
        "z": "timestamp[us, tz=UTC]",
        "n": "decimal128(12, 2)",
        "w": "decimal128(30, 2)",
        "free": "double",
        "clock": "time64[us]",
    }
    first, second = found.rows or []
    assert first["i"] == 9007199254740993
    assert (first["b"], first["d"], first["n"]) == (b"\x00\xff", date(1, 1, 1), Decimal("12.34"))
    assert first["m"] == datetime(2013, 1, 5, 10, 0, 0, 1)  # noqa: DTZ001
    assert first["z"] == datetime(2013, 1, 5, 10, tzinfo=UTC)
    assert (second["i"], second["s"], second["n"]) == (None, "", Decimal("1000000.00"))
    assert found.notes == ()


@pytest.mark.parametrize("rows", [10, 3_000])
def test_a_value_that_does_not_fit_its_column_makes_the_column_text_for_the_whole_load(make: Make, rows: int) -> None:
    url = make(
        f"""CREATE TABLE t (i INTEGER, m TIMESTAMP, n DECIMAL(5,2), r REAL, half INTEGER);
            WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < {rows})
            INSERT INTO t SELECT x, '2013-01-05 10:00:00', x % 100, x * 0.5, x FROM c;
            INSERT INTO t VALUES ('unknown', '2013-02-30 10:00:00', 0.333, 'n/a', 0.5);"""
    )
    found = take(url, batch_bytes=16_384)
    assert (found.batches > 1) is (rows > 10)
    assert found.types == {"i": "string", "m": "string", "n": "double", "r": "string", "half": "double"}
    assert len(found.rows or []) == rows + 1
    assert (found.rows or [])[-1] == {
        "i": "unknown",
        "m": "2013-02-30 10:00:00",
        "n": 0.333,
        "r": "n/a",
        "half": 0.5,
    }
    assert (found.rows or [])[0]["i"] == "1"
    assert any("t.i is declared INTEGER but holds other values" in note for note in found.notes)


@pytest.mark.parametrize("type_", ["INTEGER", "BOOLEAN", "TIMESTAMP", ""])
def test_a_fraction_is_never_cut_to_an_integer(make: Make, type_: str) -> None:
    url = make(f"CREATE TABLE t (x {type_}); INSERT INTO t VALUES (1), (0.5), (NULL);")
    found = take(url)
    assert found.types == {"x": "double"}
    assert [row["x"] for row in found.rows or []] == [1.0, 0.5, None]


def test_columns_without_a_type_are_told_from_their_values(make: Make) -> None:
    url = make("CREATE TABLE t (a, b, c, d); INSERT INTO t VALUES (1, 1, 'x', NULL), (2, 2.5, 7, NULL);")
    found = take(url)
    assert found.types == {"a": "int64", "b": "double", "c": "string", "d": "null"}
    assert [row["c"] for row in found.rows or []] == ["x", "7"]


def test_an_empty_table_keeps_its_types(make: Make) -> None:
    found = take(make("CREATE TABLE t (i INTEGER, n DECIMAL(5,1), m TIMESTAMP);"))
    assert found.rows == []
    assert found.types == {"i": "int64", "n": "decimal128(5, 1)", "m": "timestamp[us]"}


def test_texts_that_are_not_utf8_are_read_as_latin1_and_said_so(make: Make) -> None:
    url = make(
        """CREATE TABLE t (s TEXT);
           WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 3000)
           INSERT INTO t SELECT 'fine' FROM c;
           INSERT INTO t VALUES (CAST(x'636166e9' AS TEXT)), ('nul' || char(0) || '😀');"""
    )
    found = take(url, batch_bytes=4096)
    assert [row["s"] for row in (found.rows or [])[-2:]] == ["café", "nul\0😀"]
    assert len(found.rows or []) == 3_002
    assert any("Latin-1" in note for note in found.notes)


def test_a_query_is_read_with_the_types_of_the_columns_it_passes_on(make: Make) -> None:
    url = make("CREATE TABLE t (id INTEGER, n DECIMAL(5,2)); INSERT INTO t VALUES (1, 1.25), (2, 2);")
    found = take(url, options={"query": "SELECT id, n, id AS id, n * 2 AS twice FROM t WHERE id > 1;"})
    assert found.types == {"id": "int64", "n": "decimal128(5, 2)", "id:1": "int64", "twice": "int64"}
    assert found.rows == [{"id": 2, "n": Decimal("2.00"), "id:1": 2, "twice": 4}]


def test_a_cursor_resumes_at_its_last_value_and_goes_back_by_the_lag(make: Make) -> None:
    url = make(
        """CREATE TABLE t (id INTEGER PRIMARY KEY, at TEXT);
           INSERT INTO t VALUES (1, '2013-01-05T10:00:00'), (2, '2013-01-05T11:00:00'), (3, '2013-01-05T11:00:00');"""
    )
    first = take(url, cursor="at")
    assert first.position == {"column": "at", "cursor": "2013-01-05T11:00:00", "cursor_type": "text"}
    make("INSERT INTO t VALUES (4, '2013-01-05T11:00:00'), (5, '2013-01-05T12:00:00'), (6, '2013-01-05T10:30:00');")
    again = take(url, cursor="at", position=first.position)
    assert sorted(row["id"] for row in again.rows or []) == [2, 3, 4, 5]
    late = take(url, cursor="at", lag=timedelta(minutes=40), position=first.position)
    assert sorted(row["id"] for row in late.rows or []) == [2, 3, 4, 5, 6]
    everything = take(url, cursor="at", lag=timedelta(days=9999), position=first.position)
    assert len(everything.rows or []) == 6


def test_nothing_new_leaves_the_position_standing(make: Make) -> None:
    url = make("CREATE TABLE t (id INTEGER); INSERT INTO t VALUES (1);")
    found = take(url, cursor="id", position={"column": "id", "cursor": 5, "cursor_type": "integer"})
    assert (found.rows, found.position) == ([], None)


def test_replace_reads_everything_whatever_the_cursor(make: Make) -> None:
    url = make("CREATE TABLE t (id INTEGER); INSERT INTO t VALUES (1), (9);")
    position = {"column": "id", "cursor": 9, "cursor_type": "integer"}
    assert len(take(url, cursor="id", write=WriteMode.REPLACE, position=position).rows or []) == 2


def test_rows_without_a_cursor_value_are_read_by_each_load_and_counted(make: Make) -> None:
    url = make("CREATE TABLE t (id INTEGER); INSERT INTO t VALUES (1), (NULL), (NULL);")
    first = take(url, cursor="id")
    assert len(first.rows or []) == 3
    again = take(url, cursor="id", position=first.position)
    assert again.rows == [{"id": 1}, {"id": None}, {"id": None}]
    assert again.notes[0].startswith("2 rows of t have no id; such rows are read by each load")


def test_a_row_dated_far_in_the_future_does_not_hide_the_rows_to_come(make: Make) -> None:
    url = make("CREATE TABLE t (at TEXT); INSERT INTO t VALUES ('2013-01-05'), ('2199-01-01');")
    found = take(url, cursor="at")
    assert len(found.rows or []) == 2
    assert found.position["cursor"] == "2013-01-05"
    assert "1 rows of t have a at over a day in the future" in found.notes[-1]


def test_cursors_that_cannot_be_carried_over_are_refused(make: Make) -> None:
    url = make("CREATE TABLE t (id INTEGER, at TEXT); INSERT INTO t VALUES (1, '2013-01-05');")
    position = {"column": "id", "cursor": 1, "cursor_type": "integer"}
    with pytest.raises(ConfigurationError, match="is now 'at', but it was last read by 'id'"):
        take(url, cursor="at", position=position)
    with pytest.raises(ConfigurationError, match="changed its type"):
        take(url, cursor="at", position={"column": "at", "cursor": 1, "cursor_type": "integer"})
    with pytest.raises(ConfigurationError, match="lag of t cannot be taken"):
        take(url, cursor="id", lag=timedelta(hours=1), position=position)
    make("INSERT INTO t VALUES ('abc', NULL);")
    with pytest.raises(DataError, match="mixes numbers and texts"):
        take(url, cursor="id")


def test_numbers_kept_as_text_are_pointed_out_as_a_cursor(make: Make) -> None:
    url = make("CREATE TABLE t (id TEXT); INSERT INTO t VALUES ('9'), ('10');")
    found = take(url, cursor="id")
    assert found.position["cursor"] == "9"
    assert "compared letter by letter" in found.notes[0]


_DAY = Interval.parse("2013-01-05")
_MOMENTS = ["2013-01-04 23:59:59", "2013-01-05 00:00:00", "2013-01-05 23:59:59", "2013-01-06 00:00:00"]


@pytest.mark.parametrize(
    "spelling",
    [
        lambda at: at,
        lambda at: at.replace(" ", "T"),
        lambda at: at.replace(" ", "T") + "Z",
        lambda at: at.replace(" ", "T") + ".000Z",
        lambda at: at + "+00:00",
        lambda at: (datetime.fromisoformat(at) - timedelta(hours=5)).isoformat() + "-05:00",
        lambda at: int(datetime.fromisoformat(at + "+00:00").timestamp()),
        lambda at: int(datetime.fromisoformat(at + "+00:00").timestamp()) * 1000,
        lambda at: int(datetime.fromisoformat(at + "+00:00").timestamp()) * 1_000_000,
    ],
)
def test_an_interval_is_half_open_in_every_spelling_of_time(make: Make, spelling: Callable[[str], Any]) -> None:
    url = make("CREATE TABLE t (id INTEGER, at);")
    path = url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(i, spelling(at)) for i, at in enumerate(_MOMENTS)])
    connection.close()
    found = take(url, interval="at", span=_DAY)
    assert [row["id"] for row in found.rows or []] == [1, 2]
    assert found.position is None


def test_an_interval_column_that_cannot_be_told_is_refused(make: Make) -> None:
    url = make("CREATE TABLE t (id INTEGER, day TEXT); INSERT INTO t VALUES (20130105, '05/01/2013');")
    for column in ("id", "day"):
        with pytest.raises(ConfigurationError, match=f"interval column '{column}' of t writes moments cannot be told"):
            take(url, interval=column, span=_DAY)
    with pytest.raises(ConfigurationError, match="names no interval column"):
        take(url, span=_DAY)


def test_what_is_misspelt_or_missing_gets_a_sentence_and_no_file(make: Make, tmp_path: Path) -> None:
    url = make("CREATE TABLE flights (id INTEGER);")
    with pytest.raises(ConfigurationError, match=r"no table 'flihgts' .*Did you mean 'flights'"):
        take(url, options={"table": "flihgts"})
    with pytest.raises(ConfigurationError, match=r"no column 'di' .*Valid: id"):
        take(url, options={"table": "flights"}, cursor="di")
    with pytest.raises(ConfigurationError, match="either a table or a query"):
        take(url, options={})
    with pytest.raises(ConfigurationError, match=r'cannot read the query .*near "SELEC"'):
        take(url, options={"query": "SELEC 1"})
    with pytest.raises(ConfigurationError, match=r"no SQLite file .*Did you mean 'ops.db'"):
        take(url.replace("ops.db", "op.db"))
    assert not (tmp_path / "op.db").exists()
    (tmp_path / "ops.db").write_text("no database, but a text that is long enough to be told from an empty file" * 9)
    with pytest.raises(ConfigurationError, match="is no SQLite database"):
        take(url)


def test_a_file_held_by_a_writer_is_a_transient_error(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    url = make("CREATE TABLE t (id INTEGER);")
    monkeypatch.setattr("penstock.extract.database.sqlite.files.BUSY_SECONDS", 0.05)
    holder = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(TransientError, match="held by a writer"):
        take(url)
    holder.close()


def test_a_reading_sees_one_moment_while_others_write(make: Make) -> None:
    url = make(
        """PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER, x TEXT);
           WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 20000)
           INSERT INTO t SELECT x, 'old' FROM c;"""
    )
    extraction = SqliteSource().open(sql_request("sqlite", url, options={"table": "t"}, batch_bytes=2**16))
    batches = extraction.batches()
    rows = next(batches).data.num_rows
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as writer, writer:
        writer.execute("DELETE FROM t WHERE id % 2 = 0")
        writer.execute("INSERT INTO t VALUES (999999, 'new')")
    writer.close()
    rows += sum(batch.data.num_rows for batch in batches)
    extraction.close()
    assert rows == 20_000


def test_batches_are_bounded_in_bytes_whatever_the_width_of_a_row(make: Make) -> None:
    url = make(
        """CREATE TABLE t (id INTEGER, x TEXT);
           WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 3000)
           INSERT INTO t SELECT x, printf('%.*c', 10000, 'x') FROM c;"""
    )
    found = take(url, batch_bytes=2**20)
    assert len(found.rows or []) == 3000
    assert found.largest < 8 * 2**20
    assert found.batches > 10


def test_describe_tells_keys_cursors_and_what_looks_personal(make: Make) -> None:
    url = make(
        """CREATE TABLE passengers (id INTEGER PRIMARY KEY, contact TEXT, birth_date DATE, miles INTEGER,
             created_at TEXT, updated_at TEXT);
           INSERT INTO passengers VALUES (1, 'ada@example.org', '1815-12-10', 5, '2013-01-05', '2013-01-06T10:00:00');
           CREATE VIEW few AS SELECT miles FROM passengers;"""
    )
    few, passengers = SqliteSource().describe(sql_request("sqlite", url))
    assert (few.name, few.key, few.pattern) == ("few", (), "batch")
    assert passengers.rows == 1
    assert passengers.key == ("id",)
    assert passengers.cursors[:2] == ("updated_at", "created_at")
    assert passengers.columns["miles"] == "INTEGER"
    assert set(passengers.remarks) == {
        "contact looks personal: an e-mail address",
        "birth_date looks personal: a date of birth",
        "birth_date lies before 1900 in 1 of 1 rows looked at",
    }
    assert not any("ada@example.org" in remark for remark in passengers.remarks)
    assert passengers.suggestion == (
        'sources.sql("ops", table="passengers", cursor="updated_at", key="id", write="merge", '
        'personal=["contact", "birth_date"])'
    )
    (one,) = SqliteSource().describe(sql_request("sqlite", url, options={"table": "few"}))
    assert one.name == "few"
    with pytest.raises(ConfigurationError, match="Did you mean 'few'"):
        SqliteSource().describe(sql_request("sqlite", url, options={"table": "fev"}))


def test_a_table_of_very_many_columns_is_read(make: Make) -> None:
    names = [f"c{number}" for number in range(1200)]
    url = make(
        f"""CREATE TABLE t ({", ".join(f"{name} INTEGER" for name in names)});
            INSERT INTO t (c0, c1) VALUES {", ".join("(1, 2)" for _ in range(100))};
            INSERT INTO t (c1100) VALUES ('x');"""
    )
    found = take(url, batch_bytes=2**18)
    assert found.batches > 1
    assert (len(found.types), found.types["c0"], found.types["c1100"]) == (1200, "int64", "string")
