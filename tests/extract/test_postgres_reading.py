from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from draining import Read, read, sql_request

from penstock.errors import ConfigurationError, DataError, MissingExtraError, TransientError
from penstock.extract.database.postgres.source import PostgresSource
from penstock.model.interval import Interval
from penstock.model.specs import WriteMode
from servers.postgres import GUARDED, PASSWORD, PostgresServer

pytestmark = pytest.mark.postgres


@pytest.fixture
def database(postgres: PostgresServer) -> PostgresServer:
    """The server with an empty schema."""
    postgres.execute("DROP SCHEMA IF EXISTS public CASCADE; DROP SCHEMA IF EXISTS ops CASCADE; CREATE SCHEMA public")
    return postgres


def take(server: PostgresServer, url: str | None = None, **fields: Any) -> Read:
    fields.setdefault("options", {"table": "t"})
    return read(PostgresSource(), sql_request("postgres", url or server.url(), **fields))


def test_every_type_arrives_exactly_or_as_text_with_a_note(database: PostgresServer) -> None:
    database.execute(
        """CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE DOMAIN price AS numeric(10, 2) CHECK (value > 0);
        CREATE TYPE pair AS (x int, y text);
        CREATE TABLE t (i2 int2, i4 int4, i8 int8, n numeric(12, 3), wide numeric(38, 12), free numeric,
          huge numeric(50, 2), coarse numeric(5, -2), domain price, f4 real, f8 double precision, flag boolean,
          text text, code char(3), day date, at timestamp, instant timestamptz, clock time, zoned timetz,
          span interval, id uuid, doc jsonb, raw bytea, ints int[], texts text[], numbers numeric[], days date[],
          feeling mood, feelings mood[], address inet, range int4range, bits bit(3), cash money, both_ pair, oid_ oid);
        INSERT INTO t VALUES (-32768, 2147483647, 9223372036854775807, 123456789.125, 12345678901234567890.123456789012,
          12345678901234567890.123456789, 1e40, 12300, 5.5, 'NaN', 'Infinity', true,
          E'é\\n"q", \\\\', 'ab', '0001-01-01', '2013-01-05 10:00:00.000001', '2013-01-05 10:00+02', '10:00:00.000001',
          '10:00+02', '1 year 2 days 03:04:05.000006', '550e8400-e29b-41d4-a716-446655440000',
          '{"n": 1234567890123456789012}', '\\x00ff', '{1,NULL,3}', '{a,NULL,"x,y"}', '{1.5,NaN}', '{2013-01-05}',
          'glad', '{sad,glad}', '10.0.0.1/8', '[1,5)', '101', 12.34, '(1,z)', 4294967295);
        INSERT INTO t (text) VALUES ('');"""
    )
    found = take(database)
    first, second = found.rows or []
    assert first["i8"] == 2**63 - 1
    assert (first["n"], first["wide"]) == (Decimal("123456789.125"), Decimal("12345678901234567890.123456789012"))
    assert (first["free"], first["coarse"]) == (Decimal("12345678901234567890.123456789"), Decimal(12300))
    assert (first["domain"], first["cash"], first["oid_"]) == (Decimal("5.50"), Decimal("12.34"), 4294967295)
    assert first["f4"] != first["f4"]
    assert first["f8"] == float("inf")
    assert (first["text"], second["text"], second["code"]) == ('é\n"q", \\', "", None)
    assert (first["day"], first["at"]) == (date(1, 1, 1), datetime(2013, 1, 5, 10, 0, 0, 1))  # noqa: DTZ001
    assert first["instant"] == datetime(2013, 1, 5, 8, tzinfo=UTC)
    assert first["clock"] == clock(10, 0, 0, 1)
    assert (first["span"].months, first["span"].days, first["span"].nanoseconds) == (12, 2, 11_045_000_006_000)
    assert first["id"] == UUID("550e8400-e29b-41d4-a716-446655440000")
    assert (first["doc"], first["raw"]) == ('{"n": 1234567890123456789012}', b"\0\xff")
    assert (first["ints"], first["texts"], first["numbers"]) == ([1, None, 3], ["a", None, "x,y"], '[1.5,"NaN"]')
    assert (first["days"], first["feelings"]) == ([date(2013, 1, 5)], ["sad", "glad"])
    kept = {"huge": "1" + "0" * 40 + ".00", "zoned": "10:00:00+02", "address": "10.0.0.1/8", "range": "[1,5)"}
    assert {name: first[name] for name in kept} == kept
    assert (first["bits"], first["both_"], first["feeling"]) == ("101", "(1,z)", "glad")
    assert found.types["n"] == "decimal128(12, 3)"
    assert found.types["wide"] == "decimal128(38, 12)"
    assert found.types["free"] == "decimal128(38, 9)"
    noted = {note.split()[0] for note in found.notes}
    assert noted == {"free", "huge", "zoned", "numbers", "address", "range", "bits", "both_"}


@pytest.mark.parametrize(
    ("type_", "value", "text"),
    [
        ("numeric(5,2)", "NaN", "NaN"),
        ("numeric(30,2)", "NaN", "NaN"),
        ("numeric", "NaN", "NaN"),
        ("numeric", "-Infinity", "-Infinity"),
        ("numeric", "0.0000000001", "0.0000000001"),
        ("numeric", "1e30", "1" + "0" * 30),
        ("date", "infinity", "infinity"),
        ("timestamp", "-infinity", "-infinity"),
        ("timestamptz", "infinity", "infinity"),
        ("timestamp", "294276-01-01", "294276-01-01 00:00:00"),
        ("time", "24:00", "24:00:00"),
        ("interval", "2600000 hours", "PT2600000H"),
        ("int[]", "{{1,2},{3,4}}", "[[1,2],[3,4]]"),
        ("int[]", "[2:3]={1,2}", "[1,2]"),
        ("timestamptz[]", "{infinity}", '["infinity"]'),
    ],
)
def test_a_value_without_an_equal_makes_its_column_text_and_not_the_others(
    database: PostgresServer, type_: str, value: str, text: str
) -> None:
    database.execute(f"CREATE TABLE t (x {type_}, n numeric(5,2)); INSERT INTO t VALUES ('{value}', 1.25), (NULL, 0)")
    found = take(database)
    assert found.types == {"x": "string", "n": "decimal128(5, 2)"}
    assert [row["x"] for row in found.rows or []] == [text, None]
    assert len(found.notes) == 1
    assert "x (" in found.notes[0]


def test_an_empty_table_keeps_its_types(database: PostgresServer) -> None:
    database.execute("CREATE TABLE t (i int, n numeric(5,2), a int[], u uuid)")
    found = take(database)
    assert (found.rows, found.batches) == ([], 0)
    assert list(found.types) == ["i", "n", "a", "u"]
    assert found.types["n"] == "decimal128(5, 2)"


def test_tables_of_other_schemas_views_and_odd_names_are_read(database: PostgresServer) -> None:
    database.execute(
        """CREATE SCHEMA ops; CREATE TABLE ops."Odd ""1"" " ("a b" int, "select" int, "Id" int, "ID" int);
        INSERT INTO ops."Odd ""1"" " VALUES (1, 2, 3, 4); CREATE VIEW v AS SELECT "a b" FROM ops."Odd ""1"" " """
    )
    found = take(database, options={"table": 'ops.Odd "1" '})
    assert found.rows == [{"a b": 1, "select": 2, "Id": 3, "ID": 4}]
    assert take(database, options={"table": "v"}).rows == [{"a b": 1}]
    assert take(database, options={"table": "public.V"}).rows == [{"a b": 1}]


def test_queries_are_read_and_repeated_names_numbered(database: PostgresServer) -> None:
    found = take(database, options={"query": "SELECT 1 AS a, 2.5 AS a, '%s' AS c, 4 -- last\n;"})
    assert found.rows == [{"a": 1, "a__2": Decimal("2.500000000"), "c": "%s", "column4": 4}]


_POSITIONS = [
    ("bigint", ["1", "2", "3"], {"cursor": 3, "cursor_type": "integer"}),
    ("numeric(20,3)", ["1.5", "2.25", "12345678901234567.125"], {"cursor": "12345678901234567.125"}),
    ("timestamp", ["2013-01-05 10:00", "2013-01-05 11:00", "2013-01-05 12:00:00.000001"], {"cursor_type": "timestamp"}),
    ("timestamptz", ["2013-01-05", "2013-01-06", "2013-01-07 12:00:00.000001+02"], {"cursor_type": "timestamptz"}),
    ("date", ["2013-01-05", "2013-01-06", "2013-01-07"], {"cursor": "2013-01-07", "cursor_type": "date"}),
    ("text", ["10", "9", "ä"], {"cursor": "ä", "cursor_type": "text"}),
    ("varchar(9)", ["B", "a", "b"], {"cursor": "b", "cursor_type": "text"}),
    ("uuid", [f"{n}50e8400-e29b-41d4-a716-446655440000" for n in "1af"], {"cursor_type": "uuid"}),
    ("double precision", ["0.1", "0.2", "0.30000000000000004"], {"cursor": 0.30000000000000004}),
]


@pytest.mark.parametrize(("type_", "values", "position"), _POSITIONS, ids=[case[0] for case in _POSITIONS])
def test_a_cursor_of_every_useful_type_resumes_at_its_last_value_and_no_other(
    database: PostgresServer, type_: str, values: list[str], position: dict[str, Any]
) -> None:
    rows = ", ".join(f"({number}, '{value}')" for number, value in enumerate(values))
    database.execute(f"CREATE TABLE t (id int, c {type_}); INSERT INTO t VALUES {rows}, (9, NULL)")
    first = take(database, cursor="c")
    assert len(first.rows or []) == 4
    assert {name: first.position[name] for name in position} == position
    again = take(database, cursor="c", position=first.position)
    assert [row["id"] for row in again.rows or []] == [2, 9]
    assert again.position == first.position
    assert "1 rows of t have no c; such rows are read by each load" in again.notes[-1]
    assert len(take(database, cursor="c", write=WriteMode.REPLACE, position=first.position).rows or []) == 4


def test_a_lag_goes_back_in_time_and_is_refused_for_what_is_no_time(database: PostgresServer) -> None:
    database.execute(
        """CREATE TABLE t (id int, at timestamptz, day date, n int);
        INSERT INTO t SELECT i, timestamptz '2013-01-05 00:00Z' + i * interval '1 hour', date '2013-01-05' + i, i
        FROM generate_series(0, 9) i"""
    )
    position = take(database, cursor="at").position
    back = take(database, cursor="at", lag=timedelta(hours=2, microseconds=1), position=position)
    assert [row["id"] for row in back.rows or []] == [7, 8, 9]
    day = take(database, cursor="day").position
    assert len(take(database, cursor="day", lag=timedelta(days=1), position=day).rows or []) == 2
    number = take(database, cursor="n").position
    with pytest.raises(ConfigurationError, match="lag of t cannot be taken"):
        take(database, cursor="n", lag=timedelta(hours=1), position=number)


def test_a_row_dated_far_in_the_future_does_not_hide_the_rows_to_come(database: PostgresServer) -> None:
    database.execute(
        "CREATE TABLE t (at timestamptz, day date);"
        "INSERT INTO t VALUES (now(), '2013-01-05'), ('2199-01-01', '2199-01-01')"
    )
    for column in ("at", "day"):
        found = take(database, cursor=column)
        assert len(found.rows or []) == 2
        assert found.position["cursor"] < "2190"
        assert "over a day in the future" in found.notes[-1]
    database.execute("INSERT INTO t VALUES ('infinity', NULL)")
    with pytest.raises(DataError, match="cursor 'at' of t holds infinity or NaN"):
        take(database, cursor="at")


def test_cursors_that_cannot_be_carried_over_are_refused(database: PostgresServer) -> None:
    database.execute("CREATE TABLE t (id int, at timestamptz, doc jsonb); INSERT INTO t VALUES (1, now(), '{}')")
    position = {"column": "id", "cursor": 1, "cursor_type": "integer"}
    with pytest.raises(ConfigurationError, match="is now 'at', but it was last read by 'id'"):
        take(database, cursor="at", position=position)
    with pytest.raises(ConfigurationError, match="changed its type"):
        take(database, cursor="at", position={**position, "column": "at"})
    with pytest.raises(ConfigurationError, match="'doc' of t has no useful order"):
        take(database, cursor="doc")


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        ("timestamptz", ["2013-01-04 23:59:59.999999Z", "2013-01-05Z", "2013-01-05 19:59:59-04", "2013-01-06Z"]),
        ("timestamp", ["2013-01-04 23:59:59.999999", "2013-01-05", "2013-01-05 23:59:59.999999", "2013-01-06"]),
        ("date", ["2013-01-04", "2013-01-05", "2013-01-05", "2013-01-06"]),
        ("text", ["2013-01-04T23:59:59Z", "2013-01-05T00:00:00Z", "2013-01-05T23:59:59Z", "2013-01-06T00:00:00Z"]),
        ("bigint", ["1357343999", "1357344000", "1357430399", "1357430400"]),
    ],
)
def test_an_interval_is_half_open_in_utc(database: PostgresServer, type_: str, values: list[str]) -> None:
    rows = ", ".join(f"({number}, '{value}')" for number, value in enumerate(values))
    database.execute(f"CREATE TABLE t (id int, x {type_}); INSERT INTO t VALUES {rows}, (9, NULL)")
    found = take(database, interval="x", span=Interval.parse("2013-01-05"))
    assert [row["id"] for row in found.rows or []] == [1, 2]
    assert found.position is None
    assert found.notes == ("1 rows of t have no moment in x and belong to no interval; they are not read",)
    with pytest.raises(ConfigurationError, match="interval column 'id' of t writes moments cannot be told"):
        take(database, interval="id", span=Interval.parse("2013-01-05"))


def test_a_reading_sees_one_moment_while_others_write(database: PostgresServer) -> None:
    database.execute("CREATE TABLE t AS SELECT i AS id, repeat('x', 100) AS x FROM generate_series(1, 20000) i")
    request = sql_request("postgres", database.url(), options={"table": "t"}, batch_bytes=2**17)
    extraction = PostgresSource().open(request)
    batches = extraction.batches()
    rows = next(batches).data.num_rows
    assert rows < 20_000
    database.execute("DELETE FROM t WHERE id % 2 = 0; INSERT INTO t VALUES (999999, 'new')")
    largest = 0
    for batch in batches:
        rows += batch.data.num_rows
        largest = max(largest, batch.data.nbytes)
    extraction.close()
    assert rows == 20_000
    assert largest < 2**19


def test_closing_half_way_leaves_no_connection_behind(database: PostgresServer) -> None:
    database.execute("CREATE TABLE t AS SELECT i AS id, repeat('x', 100) AS x FROM generate_series(1, 20000) i")
    request = sql_request("postgres", database.url(), options={"table": "t"}, batch_bytes=2**17)
    before = database.sessions()
    extraction = PostgresSource().open(request)
    next(extraction.batches())
    extraction.close()
    deadline = time.monotonic() + 30
    while database.sessions() > before:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_server_that_goes_away_is_a_transient_error(database: PostgresServer) -> None:
    database.execute("CREATE TABLE t AS SELECT i AS id, repeat('x', 1000) AS x FROM generate_series(1, 50000) i")
    request = sql_request("postgres", database.url(), options={"table": "t"}, batch_bytes=2**17)
    extraction = PostgresSource().open(request)
    batches = extraction.batches()
    next(batches)
    database.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%'")
    with pytest.raises(TransientError, match="is not available"):
        for _ in batches:
            pass
    extraction.close()


def test_an_error_half_way_through_a_query_is_a_data_error(database: PostgresServer) -> None:
    query = "SELECT 1 / (150000 - i) AS x FROM generate_series(1, 200000) i"
    with pytest.raises(DataError, match="stopped while it read the query: division by zero"):
        take(database, options={"query": query})


def test_refusals_name_the_connection_and_never_the_password(database: PostgresServer) -> None:
    database.execute("CREATE TABLE t (id int)")
    secret = "s3cret-of-nobody"
    cases = [
        (database.url(GUARDED), ConfigurationError, "refuses the user or the password", {"password": secret}),
        (database.url(GUARDED, secret), ConfigurationError, "refuses the user or the password", {}),
        (database.url(GUARDED), ConfigurationError, "refuses the user or the password", {}),
        (
            database.url(database="nowhere", password=secret),
            ConfigurationError,
            'database "nowhere" does not exist',
            {},
        ),
        (f"postgresql://u:{secret}@127.0.0.1:1/db", TransientError, "Connection refused", {}),
        (f"postgresql://u:{secret}@127.0.0.1:x/db", ConfigurationError, "URL of the connection 'ops' is not valid", {}),
        (f"postgresql://u:{secret}%@127.0.0.1/db", ConfigurationError, "URL of the connection 'ops' is not valid", {}),
    ]
    for url, kind, sentence, secrets in cases:
        with pytest.raises(kind, match=sentence) as met:
            take(database, url, secrets=secrets)
        assert secret not in str(met.value)
    assert take(database, database.url(GUARDED), secrets={"password": PASSWORD}).rows == []
    assert take(database, database.url(GUARDED, PASSWORD)).rows == []


def test_what_is_misspelt_gets_a_sentence(database: PostgresServer) -> None:
    database.execute("CREATE TABLE flights (id int, time_hour timestamptz)")
    with pytest.raises(ConfigurationError, match=r"no table 'flihgts' .*Did you mean 'flights'"):
        take(database, options={"table": "flihgts"})
    with pytest.raises(ConfigurationError, match=r"no column 'time_huor' .*Did you mean 'time_hour'"):
        take(database, options={"table": "flights"}, cursor="time_huor")
    with pytest.raises(ConfigurationError, match="syntax error"):
        take(database, options={"query": "SELEC 1"})
    with pytest.raises(ConfigurationError, match="cannot read the query"):
        take(database, options={"query": "SELECT * FROM nowhere"})
    with pytest.raises(ConfigurationError, match="either a table or a query"):
        take(database, options={})
    database.execute("REVOKE ALL ON flights FROM PUBLIC; CREATE ROLE stranger LOGIN")
    try:
        with pytest.raises(ConfigurationError, match="does not let this user read flights"):
            take(database, database.url("stranger"), options={"table": "flights"})
    finally:
        database.execute("DROP ROLE stranger")


def test_a_query_cannot_write(database: PostgresServer) -> None:
    database.execute(
        """CREATE TABLE t (id int); CREATE FUNCTION meddle() RETURNS int LANGUAGE sql AS
        'INSERT INTO t VALUES (1) RETURNING id'"""
    )
    with pytest.raises(ConfigurationError, match="read-only transaction"):
        take(database, options={"query": "SELECT meddle() AS x"})
    assert database.execute("SELECT count(*) FROM t") == [(0,)]


def test_describe_tells_keys_cursors_and_what_looks_personal(database: PostgresServer) -> None:
    database.execute(
        """CREATE TABLE passengers
          (id bigint PRIMARY KEY, contact text, created_at timestamptz, updated_at timestamptz);
        INSERT INTO passengers VALUES (1, 'ada@example.org', now(), now()), (2, NULL, now(), now());
        CREATE SCHEMA ops; CREATE TABLE ops.legs (flight int, leg int, PRIMARY KEY (leg, flight))"""
    )
    described = {item.name: item for item in PostgresSource().describe(sql_request("postgres", database.url()))}
    passengers = described["passengers"]
    assert (passengers.rows, passengers.key, passengers.pattern) == (2, ("id",), "incremental")
    assert passengers.cursors == ("updated_at", "created_at", "id")
    assert passengers.columns["updated_at"] == "timestamp with time zone"
    assert passengers.remarks == ("contact looks personal: an e-mail address",)
    assert passengers.suggestion.startswith('sources.sql("ops", table="passengers", cursor="updated_at", key="id"')
    assert described["ops.legs"].key == ("leg", "flight")
    assert described["ops.legs"].pattern == "batch"
    (one,) = PostgresSource().describe(sql_request("postgres", database.url(), options={"table": "ops.legs"}))
    assert one.name == "ops.legs"


def test_the_driver_is_loaded_without_pandas(database: PostgresServer) -> None:
    program = (
        "import sys\n"
        "from penstock.extract.database.postgres.source import PostgresSource\n"
        "from penstock.extract.port import Request\n"
        "from penstock.model.specs import ConnectionSpec, SourceSpec\n"
        "source = SourceSpec(table='t', kind='sql', connection='ops', options={'query': 'SELECT 1 AS x'})\n"
        f"connection = ConnectionSpec(name='ops', kind='postgres', url={database.url()!r})\n"
        "reading = PostgresSource().open(Request(source=source, connection=connection))\n"
        "print(sum(batch.data.num_rows for batch in reading.batches()), 'pandas' in sys.modules)\n"
        "reading.close()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False"]


def test_a_missing_driver_is_answered_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    request = sql_request("postgres", "postgresql://u@127.0.0.1/db", options={"table": "t"})
    for module in ("psycopg", "adbc_driver_postgresql"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            with pytest.raises(MissingExtraError, match=r"pip install 'penstock\[postgres\]'"):
                PostgresSource().open(request)
