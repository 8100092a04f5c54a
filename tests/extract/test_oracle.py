"""Oracle as far as it goes without one: its SQL, the mapping of its types, connections, errors."""

from __future__ import annotations

import contextlib
import gc
import threading
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import oracledb
import pyarrow as pa
import pytest
import sqlglot
from draining import sql_request
from sqlglot import exp
from wire import closed_port, talking

from penstock.config.connections import GivenConnection, connection_from_table
from penstock.errors import ConfigurationError, DataError, TransientError
from penstock.extract.database.oracle import catalog as oracle_catalog
from penstock.extract.database.oracle.source import OracleSource, arguments, explained
from penstock.extract.database.oracle.sql import OracleDialect
from penstock.extract.database.oracle.types import Field, column, readable
from penstock.extract.database.reading import cast
from penstock.model.specs import ConnectionSpec, Reconcile

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "types.md"


def naive(*parts: int) -> datetime:
    return datetime(*parts)  # noqa: DTZ001


def number(precision: int, scale: int) -> Field:
    return Field("A", "NUMBER", precision, scale)


# The driver's description, the type on the page, what comes, the Arrow type, what it becomes.
CASES: list[tuple[Field, str, pa.Array, str, list[Any]]] = [
    (number(12, 3), "NUMBER(12,3)", pa.array(["-123456789.125", ".001", "0", None]), "decimal128(12, 3)",
     [Decimal("-123456789.125"), Decimal("0.001"), Decimal("0.000"), None]),
    (number(5, -2), "NUMBER(5,-2)", pa.array(["1234500"]), "decimal128(7, 0)", [Decimal(1234500)]),
    (number(3, 5), "NUMBER(3,5)", pa.array(["-.00123"]), "decimal128(5, 5)", [Decimal("-0.00123")]),
    (number(38, -10), "NUMBER(38,-10)", pa.array(["1e47"]), "string", ["1e47"]),
    (number(0, -127), "NUMBER", pa.array(["12345678901234567890123456789.123456789", "-.5"]), "decimal128(38, 9)",
     [Decimal("12345678901234567890123456789.123456789"), Decimal("-0.5")]),
    (number(126, -127), "FLOAT(126)", pa.array([".1"]), "decimal128(38, 9)", [Decimal("0.1")]),
    (Field("A", "BINARY_FLOAT"), "BINARY_FLOAT", pa.array([0.1], pa.float32()), "float", [0.10000000149011612]),
    (Field("A", "BINARY_DOUBLE"), "BINARY_DOUBLE", pa.array([1.7976931348623157e308]), "double",
     [1.7976931348623157e308]),
    (Field("A", "DATE"), "DATE", pa.array(["0001-01-01 00:00:00", "9999-12-31 23:59:59", None]), "timestamp[us]",
     [naive(1, 1, 1), naive(9999, 12, 31, 23, 59, 59), None]),
    (Field("A", "TIMESTAMP", 0, 6), "TIMESTAMP(6)", pa.array(["2013-01-05 10:00:00.123456"]), "timestamp[us]",
     [naive(2013, 1, 5, 10, 0, 0, 123456)]),
    (Field("A", "TIMESTAMP", 0, 9), "TIMESTAMP(9)", pa.array(["2013-01-05 10:00:00.123456789"]), "timestamp[ns]",
     [1357380000123456789]),
    (Field("A", "TIMESTAMP_TZ", 0, 6), "TIMESTAMP(6) WITH TIME ZONE", pa.array(["2013-01-05 08:00:00.000001Z"]),
     "timestamp[us, tz=UTC]", [datetime(2013, 1, 5, 8, 0, 0, 1, UTC)]),
    (Field("A", "TIMESTAMP_LTZ", 0, 6), "TIMESTAMP(6) WITH LOCAL TIME ZONE", pa.array(["2013-01-05 08:00:00.000001Z"]),
     "timestamp[us, tz=UTC]", [datetime(2013, 1, 5, 8, 0, 0, 1, UTC)]),
    (Field("A", "VARCHAR", size=20), "VARCHAR2(20)", pa.array(["é😀", None]), "string", ["é😀", None]),
    (Field("A", "CHAR", size=5), "CHAR(5)", pa.array(["ab   "]), "string", ["ab   "]),
    (Field("A", "CLOB"), "CLOB", pa.array(["x" * 70_000], pa.large_string()), "string", ["x" * 70_000]),
    (Field("A", "XMLTYPE"), "XMLTYPE", pa.array(["<a/>"], pa.large_string()), "string", ["<a/>"]),
    (Field("A", "ROWID"), "ROWID", pa.array(["AAAR3sAAEAAAACXAAA"]), "string", ["AAAR3sAAEAAAACXAAA"]),
    (Field("A", "RAW", size=9), "RAW(9)", pa.array([b"\0\xff"]), "binary", [b"\0\xff"]),
    (Field("A", "BLOB"), "BLOB", pa.array([b"\0"], pa.large_binary()), "binary", [b"\0"]),
    (Field("A", "BOOLEAN"), "BOOLEAN", pa.array([True, None]), "bool", [True, None]),
    (Field("A", "JSON"), "JSON", pa.array(['{"n":1.10}'], pa.large_string()), "extension<arrow.json>", ['{"n":1.10}']),
    (Field("A", "INTERVAL_DS"), "INTERVAL DAY TO SECOND", pa.array(["+02 03:04:05.000006"]), "string",
     ["+02 03:04:05.000006"]),
    (Field("A", "VECTOR"), "VECTOR", pa.array(["[1.0,2.5]"], pa.large_string()), "string", ["[1.0,2.5]"]),
]  # fmt: skip
NAMES = [case[1] for case in CASES]
DIALECT = OracleDialect()


@pytest.mark.parametrize(("field", "type_", "sent", "arrow", "expected"), CASES, ids=NAMES)
def test_a_type_becomes_what_the_page_says(
    field: Field, type_: str, sent: pa.Array, arrow: str, expected: list[Any]
) -> None:
    planned = column(field, '"A"')
    assert planned.spelt == type_
    found = cast(sent, planned)
    assert str(found.type) == arrow
    assert (found.cast(pa.int64()) if "[ns" in arrow else found).to_pylist() == expected
    section = PAGE.read_text(encoding="utf-8").partition("## Oracle")[2].partition("\n## ")[0]
    assert any(f"`{type_}`" in line and f"| `{arrow}` |" in line for line in section.splitlines())


@pytest.mark.parametrize("field", [case[0] for case in CASES], ids=NAMES)
def test_what_is_selected_is_oracles_sql(field: Field) -> None:
    found = column(field, '"a b"')
    for expression in filter(
        None, (found.expression, found.guard and f"CASE WHEN {found.guard} THEN 1 END", found.text)
    ):
        # These two clauses are not known to the parser.
        known = expression.replace(" RETURNING CLOB", "").replace("(CONTENT ", "(").replace(" AS CLOB)", ")")
        tree = sqlglot.parse_one(f'SELECT {known} AS "c0" FROM "S"."T"', dialect="oracle")
        quoted = {each.name for each in tree.find_all(exp.Identifier) if each.args.get("quoted")}
        assert quoted == {"a b", "c0", "S", "T"}


def test_objects_and_files_outside_are_not_read() -> None:
    assert [readable(Field("A", kind)) for kind in ("OBJECT", "BFILE", "NUMBER")] == [False, False, True]


@pytest.mark.parametrize(
    ("field", "value", "lag", "condition"),
    [
        (number(10, 0), "7", 0, '"A" >= 7'),
        (number(0, -127), "1.50", 0, '"A" >= 1.50'),
        (Field("A", "BINARY_DOUBLE"), "1e300", 0, '"A" >= TO_BINARY_DOUBLE(1e+300)'),
        (Field("A", "VARCHAR", size=9), "o'x", 0, "\"A\" >= 'o''x'"),
        (Field("A", "DATE"), "2013-01-05T10:00:00", 0,
         "\"A\" >= TO_DATE('2013-01-05 10:00:00', 'YYYY-MM-DD HH24:MI:SS')"),
        # A lag of fractions: the second before, never the one after.
        (Field("A", "DATE"), "2013-01-05T10:00:00", 0.25,
         "\"A\" >= TO_DATE('2013-01-05 09:59:59', 'YYYY-MM-DD HH24:MI:SS')"),
        (Field("A", "TIMESTAMP", 0, 9), "2013-01-05T10:00:00.123456789", 0,
         "\"A\" >= TIMESTAMP '2013-01-05 10:00:00.123456789'"),
        (Field("A", "TIMESTAMP", 0, 6), "0001-01-01T00:00:01", 9000, "\"A\" >= TIMESTAMP '0001-01-01 00:00:00'"),
        (Field("A", "TIMESTAMP_TZ", 0, 6), "2013-01-05T10:00:00.000001+00:00", 3600,
         "\"A\" >= TIMESTAMP '2013-01-05 09:00:00.000001 +00:00'"),
    ],
)  # fmt: skip
def test_a_cursor_is_compared_in_its_own_type(field: Field, value: Any, lag: float, condition: str) -> None:
    found = DIALECT.since(column(field, '"A"'), value, timedelta(seconds=lag))
    assert found == condition
    sqlglot.parse_one(f"SELECT 1 FROM t WHERE {found}", dialect="oracle")


@pytest.mark.parametrize("bad", ["1; DROP TABLE t", "x", "1 OR 1=1"])
def test_a_position_is_never_taken_for_sql(bad: str) -> None:
    for cursor in ("integer", "decimal", "real"):
        with pytest.raises((ValueError, ArithmeticError)):
            DIALECT.constant(bad, cursor)
    tree = sqlglot.parse_one(f"SELECT {DIALECT.constant(bad + chr(39), 'text')} FROM dual", dialect="oracle")
    assert [each.this for each in tree.find_all(exp.Literal)] == [bad + "'"]
    for cursor in ("timestamp", "timestamptz"):
        with pytest.raises(ValueError, match=r"isoformat|time"):
            DIALECT.constant(bad, cursor)


def test_an_interval_is_half_open_in_utc() -> None:
    start, end = datetime(2013, 1, 5, tzinfo=UTC), datetime(2013, 1, 6, tzinfo=UTC)
    for kind in ("DATE", "TIMESTAMP", "TIMESTAMP_TZ"):
        made = DIALECT.between(column(Field("A", kind, 0, 6), '"A"'), start, end)
        tree = sqlglot.parse_one(f"SELECT 1 FROM t WHERE {made}", dialect="oracle")
        assert [type(each) for each in tree.find_all(exp.GTE, exp.LT)] == [exp.GTE, exp.LT]
        assert ("+00:00" in made) == (kind == "TIMESTAMP_TZ")
        assert ("TO_DATE" in made) == (kind == "DATE")


def test_what_the_catalog_is_asked_is_oracles_sql() -> None:
    for sql in (oracle_catalog.TABLES, oracle_catalog.LISTED.format(owner=oracle_catalog.literal("O'X"))):
        assert len(sqlglot.parse(sql, dialect="oracle")) == 1
    cut = sqlglot.parse_one(DIALECT.limited('SELECT 1 FROM "T" WHERE ("A" < 2)', 3), dialect="oracle")
    assert "ROWNUM <= 3" in cut.sql(dialect="oracle")


def test_an_address_is_made_of_url_secrets_and_options() -> None:
    table = GivenConnection(
        "oracle://rea%40der:old@db.example.org/shop.example.org", rest={"password": "p;w@d", "connect_timeout": 3}
    )
    place = connection_from_table("ops", table, None, "connection 'ops'")
    assert (place.kind, place.url) == ("oracle", "oracle://rea%40der@db.example.org/shop.example.org")
    assert arguments(place) == {
        "host": "db.example.org", "port": 1521, "service_name": "shop.example.org", "user": "rea@der",
        "password": "p;w@d", "tcp_connect_timeout": 3.0, "retry_count": 0,
    }  # fmt: skip
    with pytest.raises(ConfigurationError, match="is not valid"):
        arguments(ConnectionSpec(name="ops", kind="oracle", url="oracle://db.example.org"))


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9, b"", None])
def test_where_no_server_answers_it_is_said(answer: bytes | None) -> None:
    with swept(), talking(answer) as port:
        refused(port)


def test_where_nothing_listens_it_is_said() -> None:
    with swept():
        refused(closed_port())


@contextlib.contextmanager
def swept() -> Iterator[None]:
    """Collect the sockets of failed connections, which the driver leaves to the garbage collector."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        for thread in threading.enumerate():
            if thread.name == "penstock-oracle":
                thread.join(5)
                assert not thread.is_alive()
        gc.collect()


def refused(port: int) -> None:
    place = ConnectionSpec(
        name="ops", kind="oracle", url=f"oracle://reader@127.0.0.1:{port}/shop", secrets={"password": "s3cr3t-word"},
        options={"connect_timeout": 1},
    )  # fmt: skip
    request = sql_request("oracle", place.url, options={"table": "t"})
    request = type(request)(source=request.source, connection=place)
    for asked in (OracleSource().open, OracleSource().describe, OracleSource().tables):
        with pytest.raises(TransientError, match="Oracle ops is not available") as raised:
            asked(request)
        assert "s3cr3t-word" not in f"{raised.value} {raised.value.__cause__} {raised.value.remedy}"


@pytest.mark.parametrize(
    ("message", "kind", "words"),
    [
        ("ORA-01017: invalid credential or not authorized; logon denied", ConfigurationError, "refuses the user"),
        ("DPY-6001: Service \"x\" is not registered with the listener", ConfigurationError, "refuses the user"),
        ("ORA-01031: insufficient privileges", ConfigurationError, "does not let this user read t"),
        ("ORA-00942: table or view does not exist", ConfigurationError, "cannot read t"),
        ("DPY-3010: connections to this database server version are not supported", ConfigurationError, "too old"),
        ("ORA-01555: snapshot too old: rollback segment number 9", TransientError, "not available"),
        ("DPY-4024: call timeout of 5000 ms exceeded", TransientError, "not available"),
        ("ORA-01476: divisor is equal to zero", DataError, "stopped while it read t"),
    ],
)  # fmt: skip
def test_what_the_server_says_is_classed_by_what_to_do(message: str, kind: type[Exception], words: str) -> None:
    request = sql_request("oracle", "oracle://a/b", secrets={"password": "s3cr3t"}, options={"table": "t"})
    found = explained(oracledb.DatabaseError(f"{message} s3cr3t\nHelp: elsewhere"), request)
    assert isinstance(found, kind)
    assert words in str(found)
    assert "s3cr3t" not in str(found)


def test_hashes_are_refused_before_anything_is_asked() -> None:
    request = sql_request("oracle", "oracle://127.0.0.1:1/b", options={"table": "t"}, reconcile=Reconcile.HASHES)
    with pytest.raises(ConfigurationError, match="only rows and values are counted"):
        OracleSource().open(request)
