"""What MariaDB and MySQL say of their rows and what lies in the files: equal for every type, also beside writers."""

import contextlib
import threading
from dataclasses import replace

import pymysql
import pytest

from penstock.extract.database.mysql.source import MySqlSource
from penstock.extract.port import Request
from penstock.model.specs import ConnectionSpec, Reconcile, SourceSpec
from servers.mariadb import TRUSTED_PASSWORD
from servers.mysql import MySqlServer

TYPES = (
    """CREATE TABLE t (i1 TINYINT, u1 TINYINT UNSIGNED, i8 BIGINT, u8 BIGINT UNSIGNED, n DECIMAL(12,3),
  wide DECIMAL(38,12), huge DECIMAL(65,30), f4 FLOAT, f8 DOUBLE, flag BIT(1), bits BIT(64), y YEAR, text_ TEXT,
  code CHAR(5), latin VARCHAR(9) CHARACTER SET latin1, folded VARCHAR(9) COLLATE utf8mb4_general_ci,
  raw_ VARBINARY(9), blob_ LONGBLOB, day_ DATE, at_ DATETIME(6), instant TIMESTAMP(6) NULL, clock TIME(6),
  mood ENUM('glad','sad'), moods SET('a','b'), doc JSON, geo GEOMETRY, odd DATE, span TIME(3),
  none_ INT, `a``b "c"` INT)""",
    """INSERT INTO t VALUES (-128, 255, -9223372036854775808, 18446744073709551615, -123456789.125,
  99999999999999999999999999.999999999999, '12345678901234567890123456789012345.123456789012345678901234567890',
  0.1, 1.7976931348623157e308, b'1', b'1111111111111111111111111111111111111111111111111111111111111111', 2155,
  CONCAT('é"', CHAR(0), '😀\\n'), 'ab', 'ÿé', 'B', x'00ff', x'', '9999-12-31', '0001-01-01 00:00:00.000001',
  '2013-11-03 01:30:00.123456', '23:59:59.999999', 'glad', 'a,b', '{"n": 1}',
  POINT(1, 2), '0000-00-00', '-838:59:58.5', NULL, 1)""",
    """INSERT INTO t (i8, u8, wide, f4, f8, text_, latin, folded, blob_, day_, at_, instant, odd, span) VALUES
  (9223372036854775807, 0, -99999999999999999999999999.999999999999, -3.4028234663852886e38, -0.0, '', 'a', 'a',
   REPEAT(x'ff', 100), '0001-01-01', '9999-12-31 23:59:59.999999', '1970-01-02', '2013-01-05', '10:00:00'),
  (9223372036854775807, 18446744073709551615, 1, 1e-38, 2.5e-308, REPEAT('z', 70000), 'Z', 'b', x'0a',
   '1969-12-31', '1969-12-31 23:59:59.999999', '2038-01-18', '2013-01-06', '11:00:00')""",
    f"INSERT INTO t VALUES (NULL{', NULL' * 29})",
)

OWN = "UPDATE t SET uid = 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6', net = '2001:db8::1' WHERE doc IS NOT NULL"
"""Types that MariaDB alone has."""


@pytest.fixture(params=["mariadb", "mysql"])
def server(request):
    found = request.getfixturevalue(request.param)
    found.execute("DROP DATABASE IF EXISTS shop", "CREATE DATABASE shop")
    return found


def asked(server, reconcile="sums", reader="connectorx", **more):
    """Return source and request."""
    more.setdefault("options", {"table": "t"})
    source = SourceSpec(table="t", kind="sql", connection="ops", reconcile=Reconcile(reconcile), **more)
    secrets, options = {"password": TRUSTED_PASSWORD}, {"reader": reader}
    connection = ConnectionSpec(
        name="ops", kind="mysql", url=server.url(password=None), secrets=secrets, options=options
    )
    return source, Request(source=source, connection=connection)


def landed(place, source, request):
    """Land, and return the comparison and the notes."""
    receipt = place.land([], extraction=MySqlSource().open(request), source=source)
    return receipt.entry.reconciliation, receipt.notes


@pytest.mark.parametrize("reader", ["connectorx", "pymysql"])
@pytest.mark.parametrize("mode", ["counts", "sums", "hashes"])
def test_every_type_has_the_same_figures_in_the_files(place, server, mode, reader):
    server.execute("SET SESSION sql_mode = ''", *TYPES)
    if not isinstance(server, MySqlServer):
        server.execute("ALTER TABLE t ADD uid UUID, ADD net INET6", OWN)
    names = tuple(str(row[0]) for row in server.execute("SHOW COLUMNS FROM t"))
    found, notes = landed(place, *asked(server, mode, reader, key=names))
    assert found.differences == ()
    assert (found.word, found.snapshot, found.landed.rows) == ("reconciled", reader == "pymysql", 4)
    assert found.compared >= {"counts": 75, "sums": 95, "hashes": 108}[mode]
    assert not [note for note in notes if "compared" in note]
    figures = found.landed.columns
    assert (figures["u8"]["least"], figures["u8"]["greatest"]) == ("0", "18446744073709551615")
    assert (figures["folded"]["least"], figures["folded"]["greatest"]) == ("B", "b")
    assert figures["instant"]["greatest"] == "2038-01-18T05:00:00"
    assert figures["odd"]["least"] == "0000-00-00"


@pytest.mark.parametrize("reader", ["connectorx", "pymysql"])
def test_a_writer_that_never_rests_raises_no_false_alarm(place, server, reader):
    server.execute(
        "CREATE TABLE t (id BIGINT PRIMARY KEY, n DECIMAL(10,2), text_ TEXT)",
        "INSERT INTO t SELECT seq, seq, CONCAT('x', seq) FROM seq_1_to_3000",
    )
    stop = threading.Event()

    def hammer():
        with contextlib.closing(server.connect(autocommit=True)) as connection, connection.cursor() as cursor:
            while not stop.is_set():
                cursor.execute("INSERT INTO t SELECT MAX(id) + 1, RAND(), HEX(RAND()) FROM t")
                cursor.execute("UPDATE t SET n = n + 1, text_ = CONCAT(text_, 'y') WHERE id % 97 = FLOOR(RAND() * 96)")

    writer = threading.Thread(target=hammer)
    writer.start()
    words = set()
    try:
        for _ in range(15):
            found, _ = landed(place, *asked(server, "hashes", reader, key=("id",)))
            assert not found.rejects
            words.add(found.word)
    finally:
        stop.set()
        writer.join()
    assert words == {"reconciled"} if reader == "pymysql" else words <= {"reconciled", "source changed"}


def test_a_table_without_snapshots_and_a_query_are_no_fault(place, server):
    server.execute("CREATE TABLE t (id INT) ENGINE=MyISAM", "INSERT INTO t VALUES (1), (2)")
    found, _ = landed(place, *asked(server, reader="pymysql"))
    assert (found.word, found.snapshot) == ("reconciled", False)
    server.execute("CREATE TABLE many AS SELECT seq FROM seq_1_to_500")
    query = {"query": "SELECT id FROM t WHERE RAND() < 0.5 UNION ALL SELECT seq FROM many WHERE RAND() < 0.5"}
    found, notes = landed(place, *asked(server, reader="pymysql", options=query))
    assert (found.word, found.rejects) == ("source changed", False)
    assert any("may have changed while it was read" in note for note in notes)


class Interrupted:
    """An extraction whose idle connections an administrator ends while its rows come."""

    def __init__(self, extraction, server):
        self._extraction = extraction
        self._server = server

    def __getattr__(self, name):
        return getattr(self._extraction, name)

    def figures(self):
        return self._extraction.figures()

    def batches(self):
        for batch in self._extraction.batches():
            for number, user, _, _, command, *_ in self._server.execute("SHOW PROCESSLIST"):
                if (user, command) == ("tester", "Sleep"):
                    with contextlib.suppress(pymysql.Error):
                        self._server.execute(f"KILL {number}")
            yield batch


def test_figures_that_the_server_refuses_are_a_note(place, server):
    server.execute("CREATE TABLE t AS SELECT seq AS id FROM seq_1_to_1000")
    source, request = asked(server)
    extraction = Interrupted(MySqlSource().open(request), server)
    receipt = place.land([], extraction=extraction, source=source)
    assert (receipt.entry.rows, receipt.entry.reconciliation.word) == (1000, "counted")
    assert any("could not be compared with its source: MySQL ops is not available" in note for note in receipt.notes)


def test_nothing_is_told_of_a_personal_column(place, server):
    server.execute("CREATE TABLE t AS SELECT seq AS id, CONCAT('p', seq) AS name FROM seq_1_to_10")
    source, request = asked(server, "hashes", key=("id", "name"))
    source = replace(source, personal={"Name": "mask"})
    found, _ = landed(place, source, replace(request, source=source))
    assert list(found.landed.columns) == ["id"]
    assert found.word == "reconciled"
