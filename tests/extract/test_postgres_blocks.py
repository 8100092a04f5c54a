"""Tables read over several connections that share a snapshot."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from draining import read, sql_request

from penstock.errors import ConfigurationError, DataError, TransientError
from penstock.extract.database.postgres.source import PostgresSource
from penstock.extract.port import Request
from servers.postgres import PostgresServer

pytestmark = pytest.mark.postgres
ROWS = 300_000
OTHERS = "pid <> pg_backend_pid()"


@pytest.fixture(scope="module")
def table(postgres: PostgresServer) -> PostgresServer:
    """A server with a table of some 90 MB, of which part lies outside its blocks."""
    postgres.execute("DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public")
    postgres.execute(
        f"""CREATE TABLE wide AS SELECT i AS id, repeat(md5(i::text), 7) AS filler, (i * 1.25)::numeric(12,2) AS price
        FROM generate_series(1, {ROWS}) i;
        ALTER TABLE wide ADD COLUMN long text; ALTER TABLE wide ALTER COLUMN long SET STORAGE EXTERNAL;
        UPDATE wide SET long = repeat('x', 400000) WHERE id % 10000 = 0"""
    )
    return postgres


def asked(server: PostgresServer, readers: Any = 3, **fields: Any) -> Request:
    fields.setdefault("options", {"table": "wide"})
    request = sql_request("postgres", server.url(), **fields)
    return replace(request, connection=replace(request.connection, options={"readers": readers}))


def reading(server: PostgresServer) -> int:
    """Return how many connections hold the rows' table open in a transaction, those that count it aside."""
    found = server.execute(
        f"SELECT count(DISTINCT pid) FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND {OTHERS} "
        "AND query ILIKE '%copy%' AND query NOT ILIKE '%count(%'"
    )
    return int(found[0][0])


def backends(server: PostgresServer) -> int:
    found = server.execute(f"SELECT count(*) FROM pg_stat_activity WHERE query ILIKE '%ctid%' AND {OTHERS}")
    return int(found[0][0])


def left_alone(server: PostgresServer) -> bool:
    """Say whether no reading is left; a backend of PostgreSQL ends some time after its connection was closed."""
    end = time.monotonic() + 20
    while backends(server) and time.monotonic() < end:
        time.sleep(0.05)
    return backends(server) == 0


def test_the_rows_are_those_of_one_connection_in_its_order(table: PostgresServer) -> None:
    one, several = (read(PostgresSource(), asked(table, readers)) for readers in (1, 3))
    assert one.rows is not None
    assert several.rows is not None
    assert [row["id"] for row in several.rows] == [row["id"] for row in one.rows]
    assert several.rows == one.rows
    assert several.types == one.types
    assert several.largest < 24 * 2**20


def test_all_see_one_moment_while_others_write(table: PostgresServer) -> None:
    table.execute("DROP TABLE IF EXISTS busy; CREATE TABLE busy AS SELECT id, filler, 1 AS amount FROM wide")
    still = threading.Event()

    def write() -> None:
        while not still.is_set():
            # What is moved from the end of the table to its beginning is neither lost nor doubled.
            table.execute("UPDATE busy SET amount = amount + 1 WHERE id % 997 = 0")
            table.execute("DELETE FROM busy WHERE id IN (SELECT id FROM busy LIMIT 500)")
            table.execute("INSERT INTO busy SELECT id, filler, 1 FROM wide LIMIT 500")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            extraction = PostgresSource().open(asked(table, options={"table": "busy"}))
            try:
                rows = sum(batch.data.num_rows for batch in extraction.batches())
                assert extraction.figures().figures.rows == rows
            finally:
                extraction.close()
    finally:
        still.set()
        writer.join()


def test_a_table_cannot_be_rewritten_meanwhile(table: PostgresServer) -> None:
    extraction = PostgresSource().open(asked(table))
    batches: Iterator[Any] = extraction.batches()
    rows = next(batches).data.num_rows
    with pytest.raises(Exception, match="lock timeout"):
        table.execute("SET lock_timeout = '200ms'; ALTER TABLE wide ALTER COLUMN id TYPE bigint")
    rows += sum(batch.data.num_rows for batch in batches)
    extraction.close()
    assert rows == ROWS


def test_a_reading_that_is_given_up_leaves_no_connection(table: PostgresServer) -> None:
    before = threading.active_count()
    extraction = PostgresSource().open(asked(table))
    next(extraction.batches())
    extraction.close()
    assert threading.active_count() <= before
    assert left_alone(table)


def test_a_connection_that_breaks_ends_the_reading_with_a_sentence(table: PostgresServer) -> None:
    extraction = PostgresSource().open(asked(table))
    batches = extraction.batches()
    next(batches)
    mine = f"query ILIKE '%ctid >=%' AND {OTHERS}"
    table.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}")
    with pytest.raises((TransientError, DataError)):
        list(batches)
    extraction.close()
    assert left_alone(table)


@pytest.mark.parametrize("options", [{"query": "SELECT * FROM wide"}, {"table": "seen"}, {"table": "parts"}])
def test_what_has_no_blocks_of_its_own_is_read_by_one(table: PostgresServer, options: dict[str, str]) -> None:
    table.execute(
        """CREATE OR REPLACE VIEW seen AS SELECT id FROM wide;
        DROP TABLE IF EXISTS parts; CREATE TABLE parts (id int) PARTITION BY RANGE (id);
        CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (1000000);
        INSERT INTO parts SELECT id FROM wide"""
    )
    assert len(read(PostgresSource(), asked(table, options=options)).rows or []) == ROWS


def test_a_table_with_children_has_each_row_once(table: PostgresServer) -> None:
    table.execute(
        """DROP TABLE IF EXISTS heir; CREATE TABLE heir () INHERITS (wide);
        INSERT INTO heir SELECT id + 1000000, filler || filler FROM wide"""
    )
    try:
        rows = read(PostgresSource(), asked(table)).rows or []
        assert len({row["id"] for row in rows}) == len(rows) == 2 * ROWS
    finally:
        table.execute("DROP TABLE heir")


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 1), (6, 3), (64, 4)])
def test_a_server_on_this_machine_leaves_half_of_the_cores(
    table: PostgresServer, monkeypatch: pytest.MonkeyPatch, cores: int, expected: int
) -> None:
    # A machine has the cores that it has: only their number is made up, server and readers are real.
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    extraction = PostgresSource().open(asked(table, None))
    try:
        next(extraction.batches())
        assert reading(table) == expected
    finally:
        extraction.close()


@pytest.mark.parametrize("readers", [0, "two", 1000, True])
def test_a_bad_number_of_readers(table: PostgresServer, readers: Any) -> None:
    with pytest.raises(ConfigurationError, match="readers of connection 'ops'"):
        read(PostgresSource(), asked(table, readers))
