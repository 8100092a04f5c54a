"""What PostgreSQL and SQLite say of their rows and what lies in the files: equal for every type, while others write."""

import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import replace

import psycopg
import pytest

from penstock.extract.database.postgres.source import PostgresSource
from penstock.extract.database.sqlite.source import SqliteSource
from penstock.extract.port import Request
from penstock.model.specs import ConnectionSpec, Reconcile, SourceSpec, WriteMode

TYPES = """
CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE DOMAIN price AS numeric(10, 2);
CREATE TABLE t (i2 int2, i4 int4, i8 int8, n numeric(12, 3), wide numeric(38, 12), whole numeric(38, 0), free numeric,
  huge numeric(50, 2), coarse numeric(5, -2), domain price, f4 real, f8 double precision, flag boolean, text text,
  code char(3), vary varchar(9), day date, at timestamp, instant timestamptz, clock time, zoned timetz, span interval,
  id uuid, doc jsonb, raw bytea, ints int[], texts text[], feeling mood, range int4range, cash money, oid_ oid,
  odd numeric(5, 2), late timestamp, small "char", "Id" int, "id " int, "ünïcode {}" text COLLATE "en-x-icu");
INSERT INTO t VALUES (-32768, 2147483647, 9223372036854775807, 123456789.125, 12345678901234567890.123456789012,
  99999999999999999999999999999999999999, 12345678901234567890.123456789, 1e40, 12300, 5.5, 'NaN', 'Infinity', true,
  E'é\\n"q", \\\\', 'ab', 'b', '0001-01-01', '2013-01-05 10:00:00.000001', '2013-01-05 10:00+02', '10:00:00.000001',
  '10:00+02', '1 year', '550e8400-e29b-41d4-a716-446655440000', '{"n": 1}', '\\x00ff', '{1,NULL,3}', '{a,NULL}',
  'glad', '[1,5)', 12.34, 4294967295, 'NaN', 'infinity', 'x', 1, 2, 'Ä');
INSERT INTO t (i8, f4, f8, day, at, instant, text, vary, raw, flag, wide, "ünïcode {}") VALUES
  (-9223372036854775808, 0.1, -0.0, '9999-12-31', '0044-03-15 BC', '20000-01-01 00:00Z', '', '𝄞', '', false,
   -99999999999999999999999999.999999999999, 'z');
INSERT INTO t (text, i8, f8, "ünïcode {}") VALUES ('Z', 9223372036854775807, 1e300, 'a'), ('a', NULL, 0.0, 'B'),
  (NULL, NULL, NULL, NULL);
"""


def source(reconcile="sums", **more):
    more.setdefault("options", {"table": "t"})
    return SourceSpec(table="t", kind="sql", connection="ops", reconcile=Reconcile(reconcile), **more)


def landed(place, opened, spec, url):
    """Land what a database gives, and return the comparison and the notes."""
    request = Request(source=spec, connection=ConnectionSpec(name="ops", kind="sql", url=url))
    receipt = place.land([], extraction=opened.open(request), source=spec)
    return receipt.entry.reconciliation, receipt.notes


@contextmanager
def hammering(write):
    """Call ``write`` again and again in a thread."""
    stop = threading.Event()
    failures = []

    def hammer():
        try:
            while not stop.is_set():
                write()
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=hammer)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert not failures


@pytest.fixture
def server(postgres):
    postgres.execute("DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public")
    return postgres


@pytest.mark.postgres
@pytest.mark.parametrize("mode", ["counts", "sums", "hashes"])
def test_every_type_of_postgresql_has_the_same_figures_in_the_files(place, server, mode):
    server.execute(TYPES)
    names = [
        name
        for (name,) in server.execute("SELECT attname FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0")
    ]
    found, notes = landed(place, PostgresSource(), source(mode, key=tuple(names)), server.url())
    assert found.differences == ()
    assert (found.word, found.snapshot, found.landed.rows) == ("reconciled", True, 5)
    assert found.compared >= {"counts": 60, "sums": 80, "hashes": 86}[mode]
    assert not [note for note in notes if "compared" in note]
    figures = found.landed.columns
    assert figures["i8"]["greatest"] == "9223372036854775807"
    assert (figures["text"]["least"], figures["text"]["greatest"]) == ("", 'é\n"q", \\')
    assert figures["instant"]["least"] == "2013-01-05T08:00:00"
    assert ("sum" in figures["wide"]) == (mode != "counts")


@pytest.mark.postgres
def test_a_view_or_a_query_that_gives_other_rows_each_time_raises_no_alarm(place, server):
    server.execute(
        "CREATE TABLE base AS SELECT g AS id FROM generate_series(1, 5000) g;"
        "CREATE VIEW t AS SELECT id FROM base WHERE random() < 0.5"
    )
    found, notes = landed(place, PostgresSource(), source(), server.url())
    assert (found.word, found.snapshot, found.rejects) == ("source changed", False, False)
    assert any(note.startswith("raw_t may have changed while it was read: rows: the source says") for note in notes)
    query = source(options={"query": "SELECT id FROM base ORDER BY random() LIMIT 7"})
    found, _ = landed(place, PostgresSource(), query, server.url())
    assert not found.rejects


@pytest.mark.postgres
def test_figures_that_the_server_refuses_are_a_note_and_no_failure(place, server):
    server.execute("CREATE TABLE t AS SELECT g AS id, repeat('x', 100) AS text FROM generate_series(1, 20000) g")
    spec = source("hashes")
    connection = ConnectionSpec(name="ops", kind="sql", url=server.url())
    extraction = PostgresSource().open(Request(source=spec, connection=connection))
    # The server ends the connection that counts, as after a timeout of its own.
    server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT count(*)%sha256%'")
    receipt = place.land([], extraction=extraction, source=spec)
    assert receipt.entry.rows == 20000
    assert receipt.entry.reconciliation.word in ("counted", "reconciled")
    if receipt.entry.reconciliation.word == "counted":
        assert any("could not be compared with its source" in note for note in receipt.notes)


@pytest.mark.postgres
def test_nothing_is_left_open_when_a_reading_is_given_up(place, server):
    server.execute("CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 300000) g")
    request = Request(source=source("sums"), connection=ConnectionSpec(name="ops", kind="sql", url=server.url()))
    threads, sessions = threading.active_count(), server.sessions()
    PostgresSource().open(request).close()
    assert threading.active_count() <= threads
    end = time.monotonic() + 30
    while server.sessions() > sessions and time.monotonic() < end:
        time.sleep(0.1)
    assert server.sessions() <= sessions


@pytest.mark.postgres
def test_a_writer_that_never_rests_raises_no_false_alarm_in_postgresql(place, server):
    server.execute(
        "CREATE TABLE t (id bigint PRIMARY KEY, n numeric(10, 2), text text); "
        "INSERT INTO t SELECT g, g, 'x' || g FROM generate_series(1, 3000) g"
    )
    with psycopg.connect(server.url(), autocommit=True) as writer:

        def write():
            writer.execute("INSERT INTO t SELECT max(id) + 1, random(), md5(random()::text) FROM t")
            writer.execute("UPDATE t SET n = n + 1, text = text || 'y' WHERE id % 97 = (random() * 96)::int")
            writer.execute("DELETE FROM t WHERE id = (SELECT min(id) FROM t)")

        with hammering(write):
            for _ in range(25):
                found, _ = landed(place, PostgresSource(), source("hashes", key=("id",)), server.url())
                assert (found.word, found.differences) == ("reconciled", ())


def test_a_writer_that_never_rests_raises_no_false_alarm_in_sqlite(place, tmp_path):
    path = tmp_path / "ops.db"
    with closing(sqlite3.connect(path, check_same_thread=False, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = wal")
        writer.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n DECIMAL(10, 2), text TEXT)")
        writer.executemany("INSERT INTO t VALUES (?, ?, ?)", [(n, n / 4, f"x{n}") for n in range(2000)])

        def write():
            writer.execute("INSERT INTO t SELECT max(id) + 1, 0.25, hex(randomblob(8)) FROM t")
            writer.execute("UPDATE t SET n = n + 1 WHERE id % 97 = 5")
            writer.execute("DELETE FROM t WHERE id = (SELECT min(id) FROM t)")

        with hammering(write):
            for _ in range(30):
                found, _ = landed(place, SqliteSource(), source("sums", key=("id",)), f"sqlite:///{path}")
                assert (found.word, found.differences) == ("reconciled", ())


@pytest.mark.parametrize("mode", ["counts", "sums"])
def test_every_type_of_sqlite_has_the_same_figures_in_the_files(place, tmp_path, mode):
    path = tmp_path / "ops.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute(
            "CREATE TABLE t (i INTEGER, flag BOOLEAN, n DECIMAL(10, 2), r REAL, text TEXT COLLATE NOCASE, raw BLOB, "
            "day DATE, at TIMESTAMP, mixed INTEGER, any, clock TIME, empty TEXT)"
        )
        made.executemany(
            "INSERT INTO t VALUES (?,?,?,?,?,?,?,?,?,?,?,NULL)",
            [
                (2**63 - 1, 1, 1.25, 0.1, "é\0q", b"\0\xff", "2013-01-05", "2013-01-05 10:00:00", 1, 1, "10:00"),
                (2**63 - 1, 0, -99999999.99, -0.0, "a", b"", "9999-12-31", "2013-01-05T09:00:00", "x", 2, "11:00"),
                (-(2**63), None, 2, 1e300, "B", None, None, None, 2.5, 3, None),
                (None, None, None, None, None, None, None, None, None, None, None),
            ],
        )
        made.commit()
        names = tuple(row[1] for row in made.execute("PRAGMA table_info(t)"))
    found, _ = landed(place, SqliteSource(), source(mode, key=names), f"sqlite:///{path}")
    assert found.differences == ()
    assert (found.word, found.landed.rows) == ("reconciled", 4)
    assert found.compared >= {"counts": 22, "sums": 27}[mode]
    assert found.landed.columns["n"]["least"] == "-99999999.99"
    assert (found.landed.columns["text"]["least"], found.landed.columns["text"]["greatest"]) == ("B", "é\0q")


def test_sqlite_with_texts_of_another_encoding_is_counted_and_not_misjudged(place, tmp_path):
    path = tmp_path / "ops.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute("PRAGMA encoding = 'UTF-16'")
        made.execute("CREATE TABLE t (id INTEGER, text TEXT)")
        made.executemany("INSERT INTO t VALUES (?, ?)", [(1, "é𝄞"), (2, "\uffff")])
        made.commit()
    found, _ = landed(place, SqliteSource(), source("sums", key=("text",)), f"sqlite:///{path}")
    assert (found.word, found.differences) == ("reconciled", ())
    with closing(sqlite3.connect(tmp_path / "latin.db")) as made:
        made.execute("CREATE TABLE t (id INTEGER, text TEXT)")
        made.execute("INSERT INTO t VALUES (1, CAST(X'e9' AS TEXT))")
        made.commit()
    found, _ = landed(place, SqliteSource(), source("sums", key=("text",)), f"sqlite:///{tmp_path}/latin.db")
    assert (found.word, found.differences) == ("reconciled", ())


@pytest.mark.postgres
def test_rows_read_again_by_a_lag_are_counted_as_known(place, server):
    server.execute("CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 10) g")
    spec = source("sums", cursor="id", write=WriteMode.MERGE, key=("id",))
    connection = ConnectionSpec(name="ops", kind="sql", url=server.url())
    first = place.land([], extraction=PostgresSource().open(Request(source=spec, connection=connection)), source=spec)
    server.execute("INSERT INTO t VALUES (11)")
    again = Request(source=spec, connection=connection, position=first.entry.work.position)
    second = place.land([], extraction=PostgresSource().open(again), source=spec, boundary=(first.entry,))
    found = second.entry.reconciliation
    assert (found.read, found.known, found.landed.rows, found.differences) == (2, 1, 1, ())
    assert found.landed.columns["id"] == {"values": "1", "least": "11", "greatest": "11", "sum": "11"}


@pytest.mark.postgres
def test_nothing_is_told_of_a_personal_column(place, server):
    server.execute("CREATE TABLE t AS SELECT g AS id, 'p' || g AS name FROM generate_series(1, 10) g")
    spec = replace(source("hashes", key=("id", "name")), personal={"Name": "mask"})
    found, _ = landed(place, PostgresSource(), spec, server.url())
    assert list(found.landed.columns) == ["id"]
    assert found.word == "reconciled"
