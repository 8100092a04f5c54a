"""Sources that fail or lie: one sentence, the class of the error, and the tables as they were."""

from __future__ import annotations

import gzip
import json
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from spoiled import ORDERS, TOML, Shop

from servers.postgres import GUARDED, PostgresServer
from servers.scripted_http import Answer, Call, scripted

HEAD = "order_id,country,day,amount\n"
MANY = HEAD + "".join(f"{n},PE,2026-01-01,{n}.5\n" for n in range(30_000))
FILES = 'sources.files("orders.csv", table="orders", write="replace"%s)'

REFUSE = ', options={"on_ragged": "refuse"}'
BAD_FILES: dict[str, tuple[str, bytes, int, tuple[str, ...]]] = {
    "missing": ('sources.files("ordres.csv", table="orders")', b"", 2, ("ordres.csv", "Did you mean 'orders.csv'?")),
    "too many fields": (FILES % REFUSE, (ORDERS + "4,PE,2026-01-04,7,x\n").encode(), 3, ("Line 5 of", "5 fields")),
    "too few fields": (FILES % REFUSE, (ORDERS + "4,PE\n").encode(), 3, ("Line 5 of orders.csv", "2 fields")),
    "ragged far down": (FILES % REFUSE, (MANY + "x,PE\n").encode(), 3, ("Line 30002 of orders.csv",)),
    "open quote": (FILES % REFUSE, (ORDERS + '4,"PE,2026-01-04,7\n').encode(), 3, ("orders.csv", "quote")),
    "mostly ragged": (FILES % "", (ORDERS + "4,PE\n" * 9).encode(), 3, ("Line 5 of orders.csv", "9 of 12 rows")),
    "no CSV but a ZIP": (FILES % "", b"PK\x03\x04" + bytes(range(256)) * 40, 3, ("orders.csv", "zip")),
    "no CSV but noise": (FILES % "", bytes(range(256)) * 40, 3, ("orders.csv", "no text")),
    "half a gzip": ('sources.files("o.csv.gz", table="orders")', gzip.compress(MANY.encode())[:-500], 3, ("o.csv.gz",)),
    "no JSON": ('sources.files("o.json", table="orders")', b'[{"a": 1}, {"a": ', 3, ("o.json",)),
    "HTML for JSON": ('sources.files("o.json", table="orders")', b"<html><body>Sorry</body></html>", 3, ("o.json",)),
    "no JSON in line 2": ('sources.files("o.jsonl", table="orders")', b'{"a": 1}\n{a: 2}\n', 3, ("o.jsonl", "line")),
    "no Parquet": ('sources.files("o.parquet", table="orders")', b"PAR1 but no more", 3, ("o.parquet",)),
    "unknown ending": ('sources.files("o.xyz", table="orders")', b"1,2", 2, ("o.xyz", "format")),
    "key": (FILES % ', key="ordr_id"', ORDERS.encode(), 2, ("ordr_id", "Did you mean 'order_id'?")),
    "cursor": (
        'sources.files("orders.csv", table="orders", cursor="dya")', ORDERS.encode(), 2, ("dya", "Did you mean 'day'?"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("given", BAD_FILES)
def test_a_bad_file(shop: Shop, given: str) -> None:
    source, content, code, words = BAD_FILES[given]
    if content:
        shop.write(source.split('"')[1], content)
    shop.declare(sources=source, transforms="", promote="")
    shop.refused(shop.type("run"), code, *words)
    assert not [name for name in shop.tree() if name.endswith((".parquet", ".duckdb"))]
    shop.whole()


@pytest.mark.parametrize("line", ["4,PE,2026-01-04,7,x", "4,PE", '4,"PE,2026-01-04,7', '4,"P"E,2026-01-04,7'])
def test_a_row_that_does_not_fit_is_set_aside_and_told(shop: Shop, line: str) -> None:
    shop.write("orders.csv", ORDERS + line + "\n")
    found = shop.type("run")
    assert found.code == 0
    assert "1 set aside" in found.out
    assert len(shop.rows("raw_orders")) == 3
    shown = shop.type("quarantine", "show", "orders", "--json")
    assert [row["_line"] for row in json.loads(shown.out)["rows"]] == [line]


def test_a_bad_file_after_a_good_one_leaves_the_tables_as_they_were(shop: Shop) -> None:
    assert shop.type("run").code == 0
    before, rows = shop.tree(), shop.rows("raw_orders")
    shop.write("orders.csv", ORDERS + "4,PE\n" * 9)
    shop.refused(shop.type("run"), 3, "extract orders: Line 5 of orders.csv")
    shop.unchanged(before)
    shop.whole()
    shop.write("orders.csv", ORDERS + "4,PE,2026-01-04,1\n")
    assert shop.type("run").code == 0
    assert len(shop.rows("raw_orders")) == len(rows) + 1


def test_a_file_rewritten_while_it_is_read(shop: Shop) -> None:
    """Somebody who writes on and on is noticed; once the file is at rest it is read whole."""
    path = shop.write("orders.csv", MANY)
    shop.declare(transforms="", promote="")
    still = threading.Event()

    def write() -> None:
        while not still.wait(0.002):
            with path.open("a") as file:
                file.write("7,PE,2026-01-01,7.5\n")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = shop.type("run")
    finally:
        still.set()
        writer.join()
    shop.refused(found, 4, "orders.csv", "while it was read", "rename them when whole")
    shop.whole()
    assert shop.type("run").code == 0
    assert len(shop.rows("raw_orders")) == path.read_text().count("\n") - 1


def test_a_byte_order_mark_is_no_part_of_a_name(shop: Shop) -> None:
    shop.write("orders.csv", b"\xef\xbb\xbf" + ORDERS.encode())
    assert shop.type("run").code == 0
    assert shop.rows("revenue") == [("NZ", 20.0), ("PE", 15.5)]


def test_latin_1_is_read_where_it_is_said(shop: Shop) -> None:
    shop.write("orders.csv", ORDERS.replace("PE", "Per\xfa").encode("latin-1"))
    shop.declare(sources=FILES % ', options={"encoding": "latin-1"}')
    assert shop.type("run").code == 0
    assert shop.rows("revenue") == [("NZ", 20.0), ("Per\xfa", 15.5)]


@pytest.mark.parametrize(("policy", "code", "rows"), [("empty", 0, 0), ("refuse", 3, 3)])
def test_an_empty_source(shop: Shop, policy: str, code: int, rows: int) -> None:
    shop.declare(sources=FILES % f', on_empty="{policy}"')
    assert shop.type("run").code == 0
    shop.write("orders.csv", HEAD)
    said = shop.type("run")
    if code:
        shop.refused(said, code, "orders", "is empty", "on_empty")
    else:
        assert said.code == 0
    assert len(shop.rows("raw_orders")) == rows
    shop.whole()


@pytest.mark.parametrize("write", ["append", "replace"])
def test_a_column_that_comes_with_another_type(shop: Shop, write: str) -> None:
    shop.declare(sources=f'sources.files("orders*.csv", table="orders", write="{write}")')
    assert shop.type("run").code == 0
    before = shop.tree()
    shop.write("orders.csv" if write == "replace" else "orders2.csv", ORDERS.replace("10.5", "ten"))
    shop.refused(shop.type("run"), 3, "extract orders", "'amount'", "DOUBLE", "Mend the source")
    shop.unchanged(before)
    shop.whole()


@pytest.mark.parametrize("given", [ORDERS.replace("country", "land"), "order_id,day,amount\n1,2026-01-01,2\n"])
def test_a_column_that_vanishes_is_told(shop: Shop, given: str) -> None:
    """The table keeps the column: it evolves; the run says what became of it."""
    assert shop.type("run").code == 0
    shop.write("orders.csv", given)
    said = shop.type("run")
    assert said.code == 0
    assert "the source no longer gives column 'country'; null in the new rows" in said.out
    shop.whole()


@pytest.mark.parametrize("reading", ['key="country", write="merge"', 'cursor="country"'])
def test_a_key_or_cursor_that_vanishes_is_refused(shop: Shop, reading: str) -> None:
    shop.declare(sources=f'sources.files("orders*.csv", table="orders", {reading})', transforms="", promote="")
    assert shop.type("run").code == 0
    before = shop.tree()
    shop.write("orders2.csv", ORDERS.replace("country", "land"))
    shop.refused(shop.type("run"), 3, "orders", "no longer gives the column 'country'", "Mend the source")
    shop.unchanged(before)
    shop.whole()


# Databases ----------------------------------------------------------------------------------------------------------

OPS = TOML + "[connections.ops]\nurl = '%s'\n"


def ops(shop: Shop) -> Path:
    path = shop.folder / "ops.db"
    database = sqlite3.connect(path)
    database.executescript("CREATE TABLE orders (order_id INTEGER PRIMARY KEY, country TEXT, amount REAL);"
                           "INSERT INTO orders VALUES (1, 'PE', 2.5), (2, 'NZ', 3)")  # fmt: skip
    database.close()
    shop.write("penstock.toml", OPS % "sqlite:///ops.db")
    return path


SQL = {
    "table": ('sources.sql("ops", table="ordres")', 2, ("ordres", "Did you mean 'orders'?")),
    "column of a query": ('sources.sql("ops", query="SELECT amuont FROM orders", name="orders")', 2, ("amuont",)),
    "query": ('sources.sql("ops", query="SELECT FROM WHERE", name="orders")', 2, ("extract orders", "syntax")),
    "cursor": ('sources.sql("ops", table="orders", cursor="odrer_id")', 2, ("odrer_id", "Did you mean 'order_id'?")),
    "key": (
        'sources.sql("ops", table="orders", write="merge", key="odrer_id")', 2,
        ("odrer_id", "Did you mean 'order_id'?"),
    ),
    "writing": ('sources.sql("ops", query="DELETE FROM orders", name="orders")', 2, ("orders",)),
}  # fmt: skip


@pytest.mark.parametrize("given", SQL)
def test_a_bad_reading_of_sqlite(shop: Shop, given: str) -> None:
    source, code, words = SQL[given]
    path = ops(shop)
    before = path.read_bytes()
    shop.declare(sources=source, transforms="", promote="")
    shop.refused(shop.type("run"), code, *words)
    assert not [name for name in shop.tree() if name.endswith((".parquet", ".duckdb"))]
    assert path.read_bytes() == before
    shop.whole()


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [(None, 2, ("ops.db",)), (b"no database " * 400, 2, ("ops.db", "SQLite")), (b"", 2, ("orders", "ops.db"))],
    ids=["missing", "no database", "empty"],
)
def test_a_bad_sqlite_file(shop: Shop, content: bytes | None, code: int, words: tuple[str, ...]) -> None:
    shop.write("penstock.toml", OPS % "sqlite:///ops.db")
    if content is not None:
        shop.write("ops.db", content)
    shop.declare(sources='sources.sql("ops", table="orders")')
    shop.refused(shop.type("run"), code, *words)
    assert (shop.folder / "ops.db").exists() is (content is not None)
    shop.whole()


def test_a_postgresql_that_is_down(shop: Shop) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shop.write("penstock.toml", OPS % f"postgresql://reader:s3cret@127.0.0.1:{port}/shop")
    shop.declare(sources='sources.sql("ops", table="orders")')
    said = shop.refused(shop.type("run"), 4, f"127.0.0.1:{port}", "ops")
    assert "s3cret" not in said
    shop.whole()


POSTGRES: dict[str, tuple[str, str | None, str | None, str, int, tuple[str, ...]]] = {
    "password": (GUARDED, "wr0ng", None, 'table="orders"', 2, ("password", "ops (127.0.0.1", "Look at")),
    "user": ("nobody", "wr0ng", None, 'table="orders"', 2, ("nobody", "ops")),
    "database": ("tester", None, "nowhere", 'table="orders"', 2, ("nowhere", "ops")),
    "table": ("tester", None, None, 'table="ordres"', 2, ("ordres", "Did you mean 'orders'?")),
    "column": ("tester", None, None, 'query="SELECT amuont FROM orders", name="orders"', 2, ("amuont",)),
    "value": (
        "tester", None, None, 'query="SELECT 1/(order_id-1) AS x FROM orders", name="orders"', 3,
        ("extract orders", "division by zero"),
    ),
    "cursor": ("tester", None, None, 'table="orders", cursor="dya"', 2, ("dya", "country")),
}  # fmt: skip


@pytest.mark.parametrize("given", POSTGRES)
def test_a_postgresql_that_refuses(shop: Shop, postgres: PostgresServer, given: str) -> None:
    user, password, database, source, code, words = POSTGRES[given]
    postgres.execute("DROP TABLE IF EXISTS orders")
    postgres.execute("CREATE TABLE orders (order_id int, country text, amount float)")
    postgres.execute("INSERT INTO orders VALUES (2, 'PE', 1), (1, 'NZ', 2)")
    shop.write("penstock.toml", OPS % postgres.url(user, password, database))
    shop.declare(sources=f'sources.sql("ops", {source})', transforms="", promote="")
    said = shop.refused(shop.type("run"), code, *words)
    assert "wr0ng" not in said
    shop.whole()


# APIs ---------------------------------------------------------------------------------------------------------------

API = TOML + "[connections.api]\nurl = '%s'\nattempts = 2\nbackoff = 0.01\ntimeout = 0.3\ntoken = 's3cret'\n"
ROWS = [{"order_id": 1, "country": "PE", "amount": 2.5}]


def _forever(call: Call) -> Answer:
    here = int(call.query.get("page", "1"))
    rows = [{**ROWS[0], "order_id": here}]
    return Answer(rows, headers={"Link": f'</o?page={here + 1}>; rel="next"'})


def _circle(call: Call) -> Answer:
    return Answer(ROWS, headers={"Link": '</o>; rel="next"'})


def _slow(call: Call) -> Answer:
    time.sleep(0.8)
    return Answer(ROWS)


_TYPE = {"Content-Type": "text/html"}
APIS: dict[str, tuple[Callable[[Call], Answer], str, int, tuple[str, ...]]] = {
    "HTML": (
        lambda _: Answer(b"<html>Log in</html>", headers=_TYPE),
        "",
        3,
        ("a page instead of JSON", "/o"),
    ),
    "HTML said to be JSON": (lambda _: Answer(b"<!doctype html><p>Log in"), "", 3, ("a page instead of JSON", "/o")),
    "half a JSON": (lambda _: Answer(b'[{"order_id": 1'), "", 3, ("/o", "JSON")),
    "token": (lambda _: Answer(b"", status=401), "", 2, ("401", "api", "/o")),
    "forbidden": (lambda _: Answer(b"", status=403), "", 2, ("403", "/o")),
    "path": (lambda _: Answer(b"", status=404), "", 2, ("404", "/o")),
    "broken": (lambda _: Answer(b"", status=503), "", 4, ("503", "/o")),
    "silent": (_slow, "", 4, ("/o", "0.3")),
    "cut off": (lambda _: Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n["), "", 4, ("/o",)),
    "in a circle": (_circle, "", 3, ("/o",)),
    "for ever": (_forever, '"max_pages": 20', 3, ("/o", "20")),
    "no list of records": (lambda _: Answer({"data": 5}), '"records": "data"', 3, ("data", "/o")),
    "records": (lambda _: Answer({"data": ROWS}), '"records": "dta"', 3, ("dta", "data")),
    "key": (lambda _: Answer(ROWS), "", 2, ("ordr_id", "Did you mean 'order_id'?")),
}


@pytest.mark.parametrize("given", APIS)
def test_a_bad_api(shop: Shop, given: str) -> None:
    script, options, code, words = APIS[given]
    key = ', key="ordr_id", write="merge"' if given == "key" else ""
    shop.declare(sources=f'sources.rest("api", path="/o", table="orders", options={{{options}}}{key})')
    with scripted(script) as server:
        shop.write("penstock.toml", API % server.url)
        said = shop.refused(shop.type("run"), code, *words)
    assert "s3cret" not in said
    assert not [name for name in shop.tree() if name.endswith((".parquet", ".duckdb"))]
    shop.whole()


def test_an_api_that_is_down(shop: Shop) -> None:
    shop.write("penstock.toml", API % "http://127.0.0.1:9")
    shop.declare(sources='sources.rest("api", path="/o", table="orders")')
    shop.refused(shop.type("run"), 4, "127.0.0.1:9")
    shop.whole()


def test_one_source_that_is_down_does_not_keep_the_other_out(shop: Shop) -> None:
    shop.write("penstock.toml", API % "http://127.0.0.1:9")
    shop.declare(sources=FILES % "" + ', sources.rest("api", path="/o", table="people")')
    shop.refused(shop.type("run"), 4, "127.0.0.1:9")
    assert shop.rows("revenue") == [("NZ", 20.0), ("PE", 15.5)]
    shop.whole()


# Python -------------------------------------------------------------------------------------------------------------

_TILL = """
def rows():
    for n in range(5000):
        if n == 4321:
            raise ValueError("the till is shut")
        yield {"order_id": n}
"""
PYTHON = {
    "raises at a row": (_TILL, 3, ("ValueError", "the till is shut", "row 4322")),
    "raises at once": ("def rows():\n    raise OSError('no paper')", 3, ("OSError", "no paper")),
    "gives no rows but numbers": ("rows = [1, 2, 3]", 3, ("orders", "int")),
    "gives no rows at all": ("rows = 7", 2, ("orders", "int")),
}


@pytest.mark.parametrize("given", PYTHON)
def test_a_bad_python_source(shop: Shop, given: str) -> None:
    code, exit_code, words = PYTHON[given]
    shop.declare(sources='sources.python(rows, table="orders")', transforms="", promote="", code=code)
    shop.refused(shop.type("run"), exit_code, *words)
    assert not [name for name in shop.tree() if name.endswith((".parquet", ".duckdb"))]
    shop.whole()


# The one-liner ------------------------------------------------------------------------------------------------------

INGESTS: dict[str, tuple[tuple[str, ...], int, tuple[str, ...]]] = {
    "file": (("ordres.csv", "--to", "w.duckdb"), 2, ("ordres.csv", "Did you mean 'orders.csv'?")),
    "table": (("sqlite:///ops.db?table=ordres", "--to", "w.duckdb"), 2, ("ordres", "Did you mean 'orders'?")),
    "database": (("sqlite:///opps.db?table=orders", "--to", "w.duckdb"), 2, ("opps.db",)),
    "no table": (("sqlite:///ops.db", "--to", "w.duckdb"), 2, ("table", "?table=NAME")),
    "scheme": (("sqlit:///ops.db?table=orders", "--to", "w.duckdb"), 2, ("sqlit", "Did you mean 'sqlite'?")),
    "folder": (("orders.csv", "--to", "nowhere/w.duckdb"), 2, ("nowhere", "Make it")),
    "target that is a folder": (("orders.csv", "--to", "folder"), 2, ("folder", "a DuckDB file", "--to")),
    "target that is no DuckDB file": (("orders.csv", "--to", "penstock.toml"), 3, ("penstock.toml", "DuckDB")),
    "key": (("orders.csv", "--to", "w.duckdb", "--key", "ordr_id", "--write", "merge"), 2, ("ordr_id", "order_id")),
    "merge without key": (("orders.csv", "--to", "w.duckdb", "--write", "merge"), 2, ("key",)),
    "down": (("http://127.0.0.1:9/o", "--to", "w.duckdb", "--table", "o"), 4, ("127.0.0.1:9",)),
    "down database": (("postgresql://u:s3cret@127.0.0.1:9/d?table=o", "--to", "w.duckdb"), 4, ("127.0.0.1:9",)),
}


@pytest.mark.parametrize("given", INGESTS)
def test_a_bad_ingest(shop: Shop, given: str) -> None:
    arguments, code, words = INGESTS[given]
    ops(shop)
    (shop.folder / "folder").mkdir()
    toml = (shop.folder / "penstock.toml").read_bytes()
    said = shop.refused(shop.type("ingest", *arguments), code, *words)
    assert "s3cret" not in said
    assert (shop.folder / "penstock.toml").read_bytes() == toml
    assert not (shop.folder / "w.duckdb").exists()
    assert not list(shop.folder.rglob("*.parquet"))


def test_a_scope_of_nothing(shop: Shop) -> None:
    shop.refused(shop.type("scope", "ordres.csv"), 2, "ordres.csv", "Did you mean 'orders.csv'?")
    shop.refused(shop.type("scope", "sqlite:///none.db"), 2, "none.db")
    shop.refused(shop.type("scope", "sqlit:///none.db"), 2, "sqlit", "Did you mean 'sqlite'?")
    assert not (shop.folder / "none.db").exists()
    assert json.loads(shop.type("scope", "ordres.csv", "--json").err)["error"]["exit_code"] == 2
