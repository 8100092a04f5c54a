from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

import penstock
from penstock.errors import ConfigurationError, DataError, PenstockError, TransientError
from penstock.extract.database.duckdb_file import DuckDbSource
from penstock.extract.port import Request
from penstock.model.specs import ConnectionSpec, SourceSpec

ODD = """SELECT 170141183460469231731687303715884105727::HUGEINT AS h, 18446744073709551615::UBIGINT AS u,
  340282366920938463463374607431768211455::UHUGEINT AS uh, '10101'::BIT AS b, INTERVAL '1 year 2 days 3.5 seconds' AS i,
  TIME '23:59:59.999999' AS t, TIMESTAMP_NS '2013-01-05 10:00:00.123456789' AS ns, uuid() AS id,
  [{'a': 1, 'b': [NULL, 'x']}] AS nested, MAP {'k': 1.5} AS m, 'glad'::ENUM('glad', 'sad') AS mood, '007' AS code,
  DATE '0001-01-01' AS first, 'NaN'::DOUBLE AS nan, NULL::INTEGER AS none, '\\x00\\xFF'::BLOB AS raw_"""
Make = Callable[..., str]


@pytest.fixture
def made(tmp_path: Path) -> Make:
    """Make a file with statements; returns its URL."""

    def make(*statements: str) -> str:
        with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
            for statement in statements:
                connection.execute(statement)
        return f"duckdb:///{tmp_path}/shop.duckdb"

    return make


def asked(url: str, **options: str) -> Request:
    source = SourceSpec(table="t", kind="sql", connection="ops", options=options)
    return Request(source=source, connection=ConnectionSpec(name="ops", kind="duckdb", url=url))


def ask(path: Path, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(query).fetchall()


def test_every_value_arrives_as_it_was(made: Make, tmp_path: Path) -> None:
    url = made(f"CREATE TABLE t AS {ODD}")
    penstock.ingest(f"{url}?table=t", to=str(tmp_path / "w.duckdb"), table="t")
    names = "h, u, uh, b, i, t, ns, id, nested, m, code, first, nan, none, raw_"
    types = ", ".join(f"typeof({name})" for name in names.split(", "))
    wanted = ask(tmp_path / "shop.duckdb", f"SELECT {types}, ({names}, mood)::VARCHAR FROM t")
    assert ask(tmp_path / "w.duckdb", f"SELECT {types}, ({names}, mood)::VARCHAR FROM t") == wanted


def test_reading_goes_on_from_the_cursor(made: Make, tmp_path: Path) -> None:
    url = made(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, seen TIMESTAMPTZ)", "INSERT INTO t VALUES (1, '2026-01-01'), (2, NULL)"
    )
    target = tmp_path / "w.duckdb"

    def bring() -> int:
        penstock.ingest(f"{url}?table=t", to=str(target), table="t", write="merge", key="id", cursor="seen", lag="1h")
        return len(ask(target, "FROM t"))

    assert bring() == 2
    made("INSERT INTO t VALUES (3, '2026-01-01 00:00:00'), (4, '2025-12-31 23:30:00'), (5, '2099-01-01')")
    assert bring() == 5
    assert bring() == 5


@pytest.mark.parametrize(
    "kind", ["DATE", "TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMPTZ", "DECIMAL(20,3)", "VARCHAR", "DOUBLE"]
)
def test_every_kind_of_cursor(made: Make, tmp_path: Path, kind: str) -> None:
    moments = not kind.startswith(("DEC", "DOU"))
    first, second = ("'2026-01-01'", "'2026-01-02'") if moments else ("1.5", "2.25")
    url = made(f"CREATE TABLE t (id INTEGER, seen {kind})", f"INSERT INTO t VALUES (1, {first})")
    target = tmp_path / "w.duckdb"
    for statement, rows in ((f"INSERT INTO t VALUES (2, {second})", 1), ("SELECT 1", 2), ("SELECT 1", 2)):
        penstock.ingest(f"{url}?table=t", to=str(target), table="t", cursor="seen")
        assert len(ask(target, "FROM t")) == rows
        made(statement)


def test_queries_views_schemas_and_scope(made: Make, tmp_path: Path) -> None:
    url = made(
        "CREATE SCHEMA crm",
        "CREATE TABLE crm.people (id INTEGER PRIMARY KEY, email VARCHAR, updated_at TIMESTAMP)",
        "INSERT INTO crm.people VALUES (1, 'ada@example.org', '2026-01-01')",
        "CREATE VIEW v AS SELECT id * 2 AS double FROM crm.people",
    )
    penstock.ingest(f"{url}?table=v", to=str(tmp_path / "v.duckdb"), table="v")
    assert ask(tmp_path / "v.duckdb", "SELECT double FROM v") == [(2,)]
    query = "WITH p AS (SELECT * FROM crm.people) SELECT p.id, v.double FROM p JOIN v ON v.double = 2 * p.id"
    penstock.ingest(f"{url}?query={query.replace(' ', '%20')}", to=str(tmp_path / "q.duckdb"), table="q")
    assert ask(tmp_path / "q.duckdb", "SELECT id, double FROM q") == [(1, 2)]
    found = {table.name: table for table in DuckDbSource().describe(asked(url))}
    assert sorted(found) == ["crm.people", "v"]
    assert (found["crm.people"].key, found["crm.people"].rows) == (("id",), 1)
    assert any("e-mail" in remark for remark in found["crm.people"].remarks)
    assert [table.name for table in DuckDbSource().tables(asked(url))] == ["crm.people", "v"]


def test_an_empty_table_keeps_its_types(made: Make, tmp_path: Path) -> None:
    url = made("CREATE TABLE t (id UHUGEINT, seen TIME)")
    penstock.ingest(f"{url}?table=t", to=str(tmp_path / "w.duckdb"), table="t")
    assert ask(tmp_path / "w.duckdb", "SELECT data_type FROM duckdb_columns() WHERE table_name = 't' LIMIT 2") == [
        ("UHUGEINT",),
        ("TIME",),
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"table": "orderz"}, "Did you mean 'orders'"),
        ({"query": "SELECT nothing FROM orders"}, "nothing"),
        ({"query": "SELEC 1 FROM"}, "cannot be read"),
        ({}, "either a table or a query"),
    ],
)
def test_what_is_misspelt_is_said(made: Make, options: dict[str, str], words: str) -> None:
    url = made("CREATE TABLE orders (id INTEGER)")
    with pytest.raises(ConfigurationError) as refused:
        DuckDbSource().open(asked(url, **options))
    assert words in str(refused.value)


def test_no_file_a_broken_one_and_one_that_is_held(made: Make, tmp_path: Path) -> None:
    url = made("CREATE TABLE t (id INTEGER)")
    with pytest.raises(PenstockError, match="Did you mean"):
        DuckDbSource().open(asked(url.replace("shop", "shopp"), table="t"))
    (tmp_path / "broken.duckdb").write_bytes(b"no database at all" * 999)
    with pytest.raises(DataError, match="no DuckDB file"):
        DuckDbSource().open(asked(f"duckdb:///{tmp_path}/broken.duckdb", table="t"))
    opening = f"import duckdb, sys; held = duckdb.connect({str(tmp_path / 'shop.duckdb')!r})"
    code = f"{opening}; print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(TransientError, match="held by another process"):
            DuckDbSource().open(asked(url, table="t"))
    finally:
        holder.communicate("")


def test_intervals_are_cut_in_utc(made: Make, tmp_path: Path) -> None:
    from penstock.model.interval import Interval

    made("CREATE TABLE t AS SELECT i, TIMESTAMP '2026-01-01' + i * INTERVAL 1 HOUR AS seen FROM range(72) r(i)")
    source = SourceSpec(table="t", kind="sql", connection="ops", options={"table": "t"}, interval="seen")
    start = datetime(2026, 1, 2, tzinfo=UTC)
    request = Request(
        source=source,
        connection=ConnectionSpec(name="ops", kind="duckdb", url=f"duckdb:///{tmp_path}/shop.duckdb"),
        interval=Interval(start, start + timedelta(days=1)),
    )
    extraction = DuckDbSource().open(request)
    (scan,) = extraction.batches()
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"ATTACH '{scan.attach[1]}' AS {scan.attach[0]} (READ_ONLY)")
        assert connection.execute(f"SELECT count(*), min(i) FROM ({scan.sql})").fetchall() == [(24, 24)]
