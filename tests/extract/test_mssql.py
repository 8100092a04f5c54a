"""SQL Server as far as it goes without one: its SQL, the mapping of its types, connection strings, errors."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import mssql_python
import pyarrow as pa
import pytest
import sqlglot
from draining import sql_request
from sqlglot import exp
from wire import closed_port, talking

from penstock.config.connections import GivenConnection, connection_from_table
from penstock.errors import ConfigurationError, DataError, TransientError
from penstock.extract.database.dialect import DatabaseColumn
from penstock.extract.database.mssql import catalog as mssql_catalog
from penstock.extract.database.mssql.source import SqlServerSource, connection_string, explained
from penstock.extract.database.mssql.sql import SqlServerDialect
from penstock.extract.database.mssql.types import Field, column
from penstock.extract.database.reading import cast
from penstock.model.specs import ConnectionSpec, Reconcile

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "types.md"


def naive(*parts: int) -> datetime:
    return datetime(*parts)  # noqa: DTZ001


# Type, what the server sends for it, the Arrow type, what it becomes.
CASES: list[tuple[str, pa.Array, str, list[Any]]] = [
    ("bit", pa.array([True, False, None]), "bool", [True, False, None]),
    ("tinyint", pa.array([0, 255, None], pa.uint8()), "uint8", [0, 255, None]),
    ("smallint", pa.array([-(2**15), 2**15 - 1], pa.int16()), "int16", [-(2**15), 2**15 - 1]),
    ("int", pa.array([-(2**31), 2**31 - 1], pa.int32()), "int32", [-(2**31), 2**31 - 1]),
    ("bigint", pa.array([-(2**63), 2**63 - 1]), "int64", [-(2**63), 2**63 - 1]),
    ("real", pa.array([0.1, -3.4028234663852886e38], pa.float32()), "float",
     [0.10000000149011612, -3.4028234663852886e38]),
    ("float", pa.array([0.1, 1.7976931348623157e308]), "double", [0.1, 1.7976931348623157e308]),
    ("decimal(38,12)", pa.array(["-12345678901234567890123456.123456789012", "0.000000000001"]), "decimal128(38, 12)",
     [Decimal("-12345678901234567890123456.123456789012"), Decimal("0.000000000001")]),
    ("numeric(18,0)", pa.array(["999999999999999999", None]), "decimal128(18, 0)", [Decimal(10**18 - 1), None]),
    ("money", pa.array(["922337203685477.5807", "-922337203685477.5808"]), "decimal128(19, 4)",
     [Decimal("922337203685477.5807"), Decimal("-922337203685477.5808")]),
    ("smallmoney", pa.array(["214748.3647"]), "decimal128(10, 4)", [Decimal("214748.3647")]),
    ("date", pa.array(["0001-01-01", "9999-12-31", None]), "date32[day]", [date(1, 1, 1), date(9999, 12, 31), None]),
    ("datetime", pa.array(["1753-01-01 00:00:00.000", "9999-12-31 23:59:59.997"]), "timestamp[us]",
     [naive(1753, 1, 1), naive(9999, 12, 31, 23, 59, 59, 997000)]),
    ("smalldatetime", pa.array(["2079-06-06 23:59:00.000"]), "timestamp[us]", [naive(2079, 6, 6, 23, 59)]),
    ("datetime2(6)", pa.array(["0001-01-01 00:00:00.000001", "9999-12-31 23:59:59.999999"]), "timestamp[us]",
     [naive(1, 1, 1, 0, 0, 0, 1), naive(9999, 12, 31, 23, 59, 59, 999999)]),
    ("datetime2(7)", pa.array(["2013-01-05 10:00:00.1234567"]), "timestamp[ns]", [1357380000123456700]),
    ("datetimeoffset(3)", pa.array(["2013-01-05 08:00:00.123Z"]), "timestamp[us, tz=UTC]",
     [datetime(2013, 1, 5, 8, 0, 0, 123000, UTC)]),
    ("time(0)", pa.array(["1970-01-01 23:59:59"]), "time64[us]", [time(23, 59, 59)]),
    ("time(7)", pa.array(["1970-01-01 23:59:59.9999999"]), "time64[ns]", [86_399_999_999_900]),
    ("char(3)", pa.array(["a  "]), "string", ["a  "]),
    ("varchar(max)", pa.array(["é😀"], pa.large_string()), "string", ["é😀"]),
    ("nvarchar(20)", pa.array(["", None]), "string", ["", None]),
    ("binary(2)", pa.array([b"\0\xff"]), "binary", [b"\0\xff"]),
    ("varbinary(max)", pa.array([b""], pa.large_binary()), "binary", [b""]),
    ("image", pa.array([b"\0"], pa.large_binary()), "binary", [b"\0"]),
    ("uniqueidentifier", pa.array([UUID("f81d4fae-7dec-11d0-a765-00a0c91e6bf6").bytes, None]), "extension<arrow.uuid>",
     [UUID("f81d4fae-7dec-11d0-a765-00a0c91e6bf6"), None]),
    ("timestamp", pa.array([2001]), "int64", [2001]),
    ("xml", pa.array(["<a/>"]), "string", ["<a/>"]),
    ("json", pa.array(['{"n": 1.10}']), "extension<arrow.json>", ['{"n": 1.10}']),
    ("geography", pa.array([bytes.fromhex("0101000000000000000000f03f0000000000000040")]), "binary",
     [bytes.fromhex("0101000000000000000000f03f0000000000000040")]),
    ("hierarchyid", pa.array(["/1/2/"]), "string", ["/1/2/"]),
    ("sql_variant", pa.array(["1.5"]), "string", ["1.5"]),
]  # fmt: skip
DIALECT = SqlServerDialect()


def planned(type_: str, name: str = "a]b") -> DatabaseColumn:
    return column(Field(name, type_), DIALECT.identifier(name))


@pytest.mark.parametrize(("type_", "sent", "arrow", "expected"), CASES, ids=[case[0] for case in CASES])
def test_a_type_becomes_what_the_page_says(type_: str, sent: pa.Array, arrow: str, expected: list[Any]) -> None:
    found = cast(sent, planned(type_))
    assert str(found.type) == arrow
    values = found.cast(pa.int64()) if isinstance(expected[0], int) and "[ns" in arrow else found
    assert values.to_pylist() == expected
    section = PAGE.read_text(encoding="utf-8").partition("## SQL Server")[2].partition("\n## ")[0]
    assert any(f"`{type_}`" in line and f"| `{arrow}` |" in line for line in section.splitlines()), type_


@pytest.mark.parametrize("type_", [case[0] for case in CASES])
def test_what_is_selected_is_t_sql(type_: str) -> None:
    found = planned(type_)
    for expression in filter(
        None, (found.expression, found.guard and f"CASE WHEN {found.guard} THEN 1 END", found.text)
    ):
        tree = sqlglot.parse_one(f"SELECT {expression} AS [c0] FROM [s].[t]", dialect="tsql")
        quoted = {each.name for each in tree.find_all(exp.Identifier) if each.args.get("quoted")}
        assert quoted == {"a]b", "c0", "s", "t"}


@pytest.mark.parametrize(
    ("type_", "value", "lag", "condition"),
    [
        ("int", 7, 0, "[a]]b] >= 7"),
        ("decimal(10,2)", "1.50", 0, "[a]]b] >= 1.50"),
        ("float", "1e300", 0, "[a]]b] >= 1e+300"),
        ("nvarchar(9)", "o'x]", 0, "[a]]b] COLLATE Latin1_General_BIN2 >= N'o''x]'"),
        ("date", "2013-01-05", 0, "[a]]b] >= CONVERT(datetime2(7), '2013-01-05T00:00:00', 126)"),
        ("date", "2013-01-05", 3600, "[a]]b] >= CONVERT(datetime2(7), '2013-01-04T23:00:00', 126)"),
        # A datetime is compared as one: as a datetime2, .007 would come after the .0066667 that it stands for.
        ("datetime", "2013-01-05T10:00:00.007000", 0, "[a]]b] >= CONVERT(datetime, '2013-01-05T10:00:00.007', 126)"),
        ("datetime2(7)", "2013-01-05T10:00:00.123456700", 0,
         "[a]]b] >= CONVERT(datetime2(7), '2013-01-05T10:00:00.1234567', 126)"),
        ("datetime2(7)", "0001-01-01T00:00:01", 9000, "[a]]b] >= CONVERT(datetime2(7), '0001-01-01T00:00:00', 126)"),
        ("datetimeoffset(7)", "2013-01-05T10:00:00.123456+00:00", 3600,
         "[a]]b] >= CONVERT(datetimeoffset(7), '2013-01-05T09:00:00.123456Z', 127)"),
        ("timestamp", 2001, 0, "[a]]b] >= CONVERT(binary(8), CAST(2001 AS bigint))"),
    ],
)  # fmt: skip
def test_a_cursor_is_compared_in_its_own_type(type_: str, value: Any, lag: int, condition: str) -> None:
    found = DIALECT.since(planned(type_), value, timedelta(seconds=lag))
    assert found == condition
    sqlglot.parse_one(f"SELECT 1 FROM t WHERE {found}", dialect="tsql")


@pytest.mark.parametrize("bad", ["1; DROP TABLE t", "x", "1 OR 1=1"])
def test_a_position_is_never_taken_for_sql(bad: str) -> None:
    for cursor in ("integer", "decimal", "real", "date", "timestamp"):
        with pytest.raises((ValueError, ArithmeticError)):
            DIALECT.constant(bad, cursor)
    tree = sqlglot.parse_one(f"SELECT {DIALECT.constant(bad + chr(39), 'text')}", dialect="tsql")
    assert [each.this for each in tree.find_all(exp.National)] == [bad + "'"]


def test_an_interval_is_half_open_in_utc() -> None:
    start, end = datetime(2013, 1, 5, tzinfo=UTC), datetime(2013, 1, 6, tzinfo=UTC)
    for type_, made in (("datetime2(3)", "datetime2(7)"), ("datetimeoffset(7)", "datetimeoffset(7)")):
        tree = sqlglot.parse_one(f"SELECT 1 FROM t WHERE {DIALECT.between(planned(type_), start, end)}", dialect="tsql")
        assert isinstance(tree.args["where"].this, exp.And)
        assert [type(each) for each in tree.find_all(exp.GTE, exp.LT)] == [exp.GTE, exp.LT]
        assert DIALECT.between(planned(type_), start, end).count(f"CONVERT({made}, '2013-01-0") == 2


def test_what_the_catalog_is_asked_is_t_sql() -> None:
    query = mssql_catalog.DESCRIBED.format(query=mssql_catalog.literal("SELECT * FROM [o'x].[t]"))
    for sql in (mssql_catalog.TABLES, mssql_catalog.LISTED, query):
        assert len(sqlglot.parse(sql, dialect="tsql")) == 1
    cut = sqlglot.parse_one(DIALECT.limited("SELECT 1 FROM [t] WHERE ([a] < 2)", 3), dialect="tsql")
    assert cut.args["limit"].expression.name == "3"


def test_a_connection_string_is_made_of_url_secrets_and_options() -> None:
    table = GivenConnection(
        "sqlserver://rea%40der:old@db.example.org/sh%20op", rest={"password": "p;w}d{=", "encrypt": "strict"}
    )
    place = connection_from_table("ops", table, None, "connection 'ops'")
    assert (place.kind, place.url) == ("mssql", "sqlserver://rea%40der@db.example.org/sh%20op")
    assert connection_string(place) == (
        "Server=db.example.org,1433;Database={sh op};ApplicationIntent=ReadOnly;UID={rea@der};PWD={p;w}}d{=};"
        "Encrypt=strict;TrustServerCertificate=no"
    )
    with pytest.raises(ConfigurationError, match="is not valid"):
        connection_string(ConnectionSpec(name="ops", kind="mssql", url="mssql://db.example.org"))
    with pytest.raises(ConfigurationError, match="Did you mean 'encrypt'"):
        connection_from_table("ops", GivenConnection("mssql://a/b", rest={"encript": "no"}), None, "x")


@pytest.mark.usefixtures("odbc")
@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9, b"", None])
def test_where_no_server_answers_it_is_said(answer: bytes | None) -> None:
    with talking(answer) as port:
        refused(port, TransientError, "not available")


@pytest.mark.usefixtures("odbc")
def test_where_nothing_listens_it_is_said() -> None:
    refused(closed_port(), TransientError, "not available")


def refused(port: int, kind: type[Exception], words: str) -> None:
    place = ConnectionSpec(
        name="ops", kind="mssql", url=f"mssql://reader@127.0.0.1:{port}/shop", secrets={"password": "s3cr3t-word"},
        options={"connect_timeout": 2, "trust_server_certificate": True},
    )  # fmt: skip
    request = sql_request("mssql", place.url, options={"table": "t"})
    request = type(request)(source=request.source, connection=place)
    for asked in (SqlServerSource().open, SqlServerSource().describe, SqlServerSource().tables):
        with pytest.raises(kind, match=words) as raised:
            asked(request)
        assert "s3cr3t-word" not in f"{raised.value} {raised.value.__cause__} {raised.value.remedy}"
        assert "SQL Server ops" in str(raised.value)


@pytest.mark.parametrize(
    ("message", "kind", "words"),
    [
        ("Login failed for user 'reader'.", ConfigurationError, "refuses the user"),
        ("Cannot open database \"shop\" requested by the login.", ConfigurationError, "refuses the user"),
        ("The SELECT permission was denied on the object 't'.", ConfigurationError, "does not let this user read t"),
        ("SSL Provider: [error:0A000086:SSL routines::certificate verify failed]", ConfigurationError, "certificate"),
        ("Transaction was deadlocked on lock resources and has been chosen as the deadlock victim.", TransientError,
         "not available"),
        ("Snapshot isolation transaction aborted due to update conflict.", TransientError, "not available"),
        ("DDBC Error: Failed to load the driver. Please read the documentation", ConfigurationError, "lacks a library"),
        ("Arithmetic overflow error converting expression.", DataError, "stopped while it read t"),
    ],
)  # fmt: skip
def test_what_the_server_says_is_classed_by_what_to_do(message: str, kind: type[Exception], words: str) -> None:
    request = sql_request("mssql", "mssql://a/b", secrets={"password": "s3cr3t"}, options={"table": "t"})
    driver = mssql_python.OperationalError("General error", f"[Microsoft][SQL Server]{message} s3cr3t")
    found = explained(driver, request)
    assert isinstance(found, kind)
    assert words in str(found)
    assert "s3cr3t" not in str(found)


def test_sums_are_refused_before_anything_is_asked() -> None:
    request = sql_request("mssql", "mssql://127.0.0.1:1/b", options={"table": "t"}, reconcile=Reconcile.SUMS)
    with pytest.raises(ConfigurationError, match="only rows and values are counted"):
        SqlServerSource().open(request)
