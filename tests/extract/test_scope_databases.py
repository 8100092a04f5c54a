"""What ``scope`` answers of every database: tables, types, size, what is odd or personal, which way fits and why."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from draining import sql_request

from penstock.extract.database import catalog
from penstock.extract.database.duckdb_file import DuckDbSource
from penstock.extract.database.mysql.source import MySqlSource
from penstock.extract.database.postgres.source import PostgresSource
from penstock.extract.database.sqlite.source import SqliteSource
from penstock.extract.port import Request, TableDescription
from servers.mariadb import MariaServer
from servers.postgres import PostgresServer

PEOPLE = """CREATE TABLE people (id INTEGER PRIMARY KEY, contact VARCHAR(60), amount VARCHAR(20), city VARCHAR(20),
  note VARCHAR(20), signed_up DATE, updated_at {moment})"""
LATE = "CREATE TABLE events (said VARCHAR(9), recorded_at {moment})"
EMPTY = "CREATE TABLE blank (a INTEGER)"
VIEW = "CREATE VIEW adults AS SELECT id FROM people"
REMARKS = {
    "contact looks personal: an e-mail address",
    "amount holds numbers as text, but for 1 of 20 rows looked at",
    "city has blanks at an end in 2 of 20 rows looked at",
    "note is an empty text in 3 of 20 rows looked at",
    "note looks as if it was read by a wrong character set in 1 of 20 rows",
    "signed_up lies before 1900 in 1 of 20 rows looked at",
    "updated_at lies in the future in 1 of 19 rows looked at",
    "updated_at has no value in 1 of 20 rows looked at; on_null_cursor says what becomes of them",
}
Say = Callable[[str], Any]


def rows() -> str:
    """Return the rows of ``people``."""
    listed = []
    for number in range(1, 21):
        amount = "n/a" if number == 3 else f"{number}.50"
        city = f" York{number}" if number < 3 else f"York{number}"
        note = "" if number < 4 else "CafÃ©" if number == 4 else "fine"
        day = "0203-01-05" if number == 5 else "2024-01-05"
        at = "NULL" if number == 6 else "'2999-01-01 00:00:00'" if number == 7 else f"'2024-01-{number:02d} 10:00:00'"
        listed.append(f"({number}, 'p{number}@example.org', '{amount}', '{city}', '{note}', '{day}', {at})")
    return "INSERT INTO people VALUES " + ", ".join(listed)


@pytest.fixture(params=["sqlite", "duckdb", "postgres", "mariadb", "mysql"])
def asked(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Any, Request]:
    """A database with the tables: its kind, the source, and a request that names no table."""
    kind = request.param
    moment = "DATETIME" if kind in ("mariadb", "mysql") else "TIMESTAMP"
    made = [sql.format(moment=moment) for sql in (PEOPLE, LATE, EMPTY, VIEW)]
    made += [rows(), "INSERT INTO events VALUES ('a', '2024-01-05 10:00:00')"]
    if kind == "sqlite":
        with contextlib.closing(sqlite3.connect(tmp_path / "ops.db")) as connection:
            connection.executescript("; ".join(made))
        return kind, SqliteSource(), sql_request("sqlite", f"sqlite:///{tmp_path / 'ops.db'}", options={})
    if kind == "duckdb":
        with duckdb.connect(str(tmp_path / "ops.duckdb")) as connection:
            for sql in made:
                connection.execute(sql)
        return kind, DuckDbSource(), sql_request("duckdb", f"duckdb:///{tmp_path / 'ops.duckdb'}", options={})
    if kind == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        server.execute("DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public")
        server.execute("; ".join([*made, "ANALYZE"]))
        return kind, PostgresSource(), sql_request("postgres", server.url(), options={})
    maria: MariaServer = request.getfixturevalue(kind)
    maria.execute("DROP DATABASE IF EXISTS shop", "CREATE DATABASE shop")
    maria.execute(*made, "ANALYZE TABLE people")
    url, secrets = maria.url(password=None), {"password": "tester"}
    return kind, MySqlSource(), sql_request("mysql", url, secrets=secrets, options={})


def scoped(source: Any, request: Request) -> dict[str, TableDescription]:
    return {table.name: table for table in source.describe(request) if "." not in table.name}


def test_scope_answers_all_of_every_database(asked: tuple[str, Any, Request]) -> None:
    kind, source, request = asked
    found = scoped(source, request)
    assert {"people", "events", "blank", "adults"} <= set(found)
    people = found["people"]
    assert list(people.columns) == ["id", "contact", "amount", "city", "note", "signed_up", "updated_at"]
    assert [type_.lower().partition("(")[0] for type_ in people.columns.values()][:2] in (
        ["integer", "varchar"], ["integer", "character varying"], ["int", "varchar"],
    )  # fmt: skip
    assert (people.rows, people.estimated, people.key) == (20, False, ("id",))
    assert people.cursors == ("updated_at", "signed_up", "id")
    assert (people.pattern, people.reason) == ("incremental", "updated_at says how far the table of 20 rows was read")
    assert set(people.remarks) == REMARKS
    assert people.suggestion.startswith(
        'sources.sql("ops", table="people", cursor="updated_at", key="id", write="merge"'
    )
    assert 'personal=["contact"]' in people.suggestion
    # Python's own SQLite may lack the table that knows of pages.
    assert kind == "sqlite" or (people.bytes or 0) > 0
    events, blank, view = found["events"], found["blank"], found["adults"]
    assert (events.pattern, "no key, so append" in events.reason, events.remarks) == ("incremental", True, ())
    assert (blank.rows, blank.pattern, blank.remarks) == (0, "batch", ())
    assert "the whole table is read each time" in blank.reason
    if kind in ("postgres", "mariadb", "mysql"):
        assert (view.rows, view.remarks) == (None, ("a view: its rows are not counted",))


def test_a_large_table_is_estimated_and_told_so(
    asked: tuple[str, Any, Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, source, request = asked
    monkeypatch.setattr(catalog, "COUNTED_BYTES", 100)
    people = scoped(source, request)["people"]
    # Files are counted, which reads no network.
    assert (people.rows, people.estimated) == (20, kind in ("postgres", "mariadb", "mysql"))


def test_no_value_of_a_sample_is_told(asked: tuple[str, Any, Request]) -> None:
    _, source, request = asked
    told = " ".join(" ".join((*table.remarks, table.reason, table.suggestion)) for table in source.describe(request))
    for value in ("example.org", "York", "n/a", "CafÃ", "0203", "2999", "1.50"):
        assert value not in told
