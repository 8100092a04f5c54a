from __future__ import annotations

from datetime import UTC, datetime

import duckdb
import pytest

from penstock.errors import ConfigurationError
from penstock.queries.edges import (
    bind,
    edges,
    expression,
    expression_meaning,
    meaning,
    named_columns,
    parameters,
    rename,
    starred,
    statement,
    substitute,
    volatile,
)

QUERIES = [
    "select * from flights",
    "select f.i, flights.k from flights, flights f where f.i = flights.i",
    "from flights",
    "from flights select i where i > 1",
    "with c as (select * from flights) select c.i, w.k from c join weather w on c.k = w.k",
    "with flights as (select * from flights where i > 1) select * from flights",
    "with a as (select 1 as i), b as (select i from a) select b.i from b, a",
    "with recursive r(n) as (select 1 union all select n + 1 from r where n < 4) select * from r join flights on n = i",
    "select i, (select max(i) from weather w where w.k = flights.k) m from flights",
    "select * from flights where exists (from weather where weather.k = flights.k)",
    "select i from flights union all select i from weather order by 1",
    "select * from (select i, k from flights) f asof join weather w on f.k = w.k and f.i >= w.i",
    "select f.i, u.x from flights f, unnest([f.i, 10]) u(x)",
    "select f.i, l.m from flights f, lateral (select max(i) m from weather where weather.k = f.k) l",
    "select i, r.range from flights join range(3) r on r.range = i",
    'select "FLIGHTS".i from "flights" -- a comment; with a semicolon\n;',
    "select i::varchar || 'from weather' t from flights /* from planes */",
    "select * from (pivot flights on k using sum(i))",
    "select k, sum(i) over w s from flights window w as (partition by k) qualify row_number() over w = 1",
    "select list_transform([i], lambda x: x + 1) l, [i, 2][1:1] s, {'a': i} d from flights",
    'select "größe".x, i from (select 3 as x) "größe", flights where \'日本\' <> k',
    "select flights from flights where i = 1",
    "select i from flights limit 1 offset 1",
    "select columns('i|k') from flights",
    "select * from flights semi join weather using (k)",
    "select * replace (i + 1 as i) from flights",
]


@pytest.fixture(scope="module")
def database() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    for prefix in ("", "raw_"):
        connection.execute(f"create table {prefix}flights as select range as i, 'k' || range % 2 as k from range(5)")
        connection.execute(
            f"create table {prefix}weather as select range * 2 as i, 'k' || range % 3 as k from range(4)"
        )
    return connection


@pytest.mark.parametrize("query", QUERIES)
def test_edges_are_the_tables_that_duckdb_itself_sees(query: str, database: duckdb.DuckDBPyConnection) -> None:
    found = {name.lower() for name in edges(query, origin="q.sql")}
    try:
        # DuckDB leaves out a CTE's name wherever it stands, also where the CTE reads the table it hides
        seen = {name.lower() for name in database.get_table_names(query)}
    except duckdb.Error:  # it cannot name the tables of every query without running it
        seen = {name for name in ("flights", "weather") if name in query}
    assert found == (seen | {"flights"} if query.startswith("with flights") else seen)


@pytest.mark.parametrize("query", QUERIES)
def test_a_renamed_query_gives_the_same_rows(query: str, database: duckdb.DuckDBPyConnection) -> None:
    with duckdb.connect() as other:
        for table in ("flights", "weather"):
            other.register("t", database.sql(f"from {table}").to_arrow_table())
            other.execute(f"create table raw_{table} as from t")
        renamed = rename(query, {"flights": "raw_flights", "Weather": "raw_weather"})
        wrapped = substitute(query, {name: f"(select * from raw_{name})" for name in ("flights", "weather")})
        expected = database.sql(statement(query)) if "with flights" not in query else None
        for text in (renamed, wrapped):
            found = other.sql(statement(text))
            rows = sorted(map(repr, found.fetchall()))
            if expected is not None:
                assert rows == sorted(map(repr, expected.fetchall()))
                assert found.columns == expected.columns
            else:
                assert rows == sorted(map(repr, [(i, f"k{i % 2}") for i in (2, 3, 4)]))


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "exactly one query, but holds none"),
        ("-- nothing", "exactly one query, but holds none"),
        ("select 1; select 2", "exactly one query, but holds 2"),
        ("select 1; drop table flights", "exactly one query, but holds 2"),
        ("create table x as select 1", "CREATE"),
        ("insert into flights values (1, 'a')", "INSERT"),
        ("update flights set i = 1", "UPDATE"),
        ("delete from flights", "DELETE"),
        ("drop table flights", "DROP"),
        ("copy flights to 'x.csv'", "COPY"),
        ("attach 'x.db'", "ATTACH"),
        ("pragma database_list", "PRAGMA"),
        ("set memory_limit = '1GB'", "SET"),
        ("install httpfs", "not a query"),
        ("describe flights", "DESCRIBE"),
        ("select * from 'secret.csv'", "reads the file 'secret.csv'"),
        ("select * from read_csv('x.csv')", "read_csv()"),
        ("select * from read_parquet(['x'])", "read_parquet()"),
        ("select * from read_text('/etc/passwd')", "read_text()"),
        ("select * from glob('*')", "glob()"),
        ("select * from query('select 1')", "query()"),
        ("select * from duckdb_secrets()", "duckdb_secrets()"),
        ("select * from other.flights", "other.flights"),
        ("select * from information_schema.tables", "information_schema.tables"),
        ("select getenv('HOME')", "getenv()"),
        ("table flights", "say FROM flights"),
        ("select * from flights where i in (select * from sqlite_scan('a', 'b'))", "sqlite_scan()"),
    ],
)
def test_what_is_not_one_plain_query_is_refused(query: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^q\.sql") as caught:
        edges(query, origin="q.sql")
    assert said in str(caught.value)


def test_a_syntax_error_names_file_line_and_column() -> None:
    with pytest.raises(ConfigurationError, match=r"^transforms/delays\.sql:3:17 cannot be read as SQL"):
        edges("select *\nfrom flights\nwhere i > 1 and and k = 2", origin="transforms/delays.sql")
    with pytest.raises(ConfigurationError, match="cannot be read as SQL"):
        edges("select 'never closed", origin="q.sql")
    with pytest.raises(ConfigurationError, match="too deeply"):
        edges(f"select {'(' * 5000}1{')' * 5000}", origin="q.sql")


def test_edges_are_given_once_in_order_of_appearance() -> None:
    assert edges("select * from b join a using (k) join B using (k)", origin="q") == ("b", "a")


def test_parameters_are_bound_as_typed_literals() -> None:
    query = "select ':interval_end', i::int, l[1:i], :interval_start as a from t where x < :interval_end -- :nobody"
    start, end = datetime(2013, 1, 5, tzinfo=UTC), datetime(2013, 1, 6, 7, 8, 9, 123456, tzinfo=UTC)
    bound = bind(query, {"interval_start": start, "interval_end": end})
    assert "':interval_end', i::int, l[1:i], TIMESTAMPTZ '2013-01-05T00:00:00+00:00' as a" in bound
    assert "x < TIMESTAMPTZ '2013-01-06T07:08:09.123456+00:00'" in bound
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        value = connection.execute(
            bind("select :a, :b,:c, [:n]", {"a": end, "b": "it's", "c": True, "n": 7})
        ).fetchall()
    assert value == [(end, "it's", True, [7])]
    untouched = "select l[1:i], {'a':i, b:i}, list_transform(l, lambda x:x + 1), a[:]  from t"
    assert bind(untouched, {"i": 1, "x": 2}) == untouched


def test_parameters_without_a_value_or_a_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"d\.sql has a parameter :intervall_start .*Valid: :interval_start"):
        bind("select :intervall_start", {"interval_start": datetime.now(UTC)}, origin="d.sql")
    with pytest.raises(ConfigurationError, match="not written as :name"):
        bind("select ? from t", {}, origin="d.sql")
    with pytest.raises(ConfigurationError, match=r"not written as :name. Got: a"):
        bind("select :b from t where x = $a", {"a": 1, "b": 2}, origin="d.sql")
    with pytest.raises(ConfigurationError, match="needs a time zone"):
        bind("select :a", {"a": datetime(2013, 1, 1)})  # noqa: DTZ001 - that is the mistake
    assert parameters("select :b, :a, :b") == ("a", "b")


def test_meaning_stays_under_comments_white_space_and_case_of_keywords() -> None:
    plain = meaning("select a, sum(b) as s from t where c = 'X' group by a")
    assert meaning("-- why\nSELECT\n  a,\n  SUM( b ) AS s /* sum */\nFROM t\nWHERE c = 'X'\nGROUP BY a;\n") == plain
    assert meaning("select a, sum(b) as s from t where c = 'x' group by a") != plain
    assert meaning("select a, sum(b) as s from u where c = 'X' group by a") != plain


@pytest.mark.parametrize(
    "query",
    [
        "select now()",
        "select current_date",
        "select current_timestamp from t",
        "select today()",
        "select random()",
        "select * from t order by random()",
        "select uuid(), i from t",
        "select gen_random_uuid()",
        "select nextval('s')",
        "select * from t using sample 10",
        "select * from t tablesample 10%",
        "select age(x) from t",
        "with c as (select get_current_time() x) from c",
    ],
)
def test_clock_chance_and_sequences_are_volatile(query: str) -> None:
    assert volatile(query)


@pytest.mark.parametrize("query", ["select a as now from t", "select 'now()' from t", "select age(x, y) from t"])
def test_names_that_only_look_volatile_are_not(query: str) -> None:
    assert not volatile(query)


def test_names_and_stars() -> None:
    assert {"_load", "i"} <= named_columns("select i from t where _LOAD > 1")
    assert "_load" not in named_columns("select * from t")
    assert starred("select * from t")
    assert starred("from t")
    assert starred("select t.*, 1 from t")
    assert starred("select columns('a') from t")
    assert not starred("select count(*), i from t")


def test_an_expression_gives_the_columns_that_it_reads() -> None:
    assert expression("dep_delay > 15 and departures.Origin = 'JFK' -- late", origin="l", table="Departures") == (
        "dep_delay",
        "Origin",
    )
    assert expression_meaning("a>1 -- x", origin="l") == expression_meaning("a  > 1", origin="l")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a, b",
        "a from t",
        "a as b",
        "sum(a)",
        "lag(a) over ()",
        "(select 1)",
        "*",
        "random() > a",
        "a > :x",
        "a limit 1",
    ],
)
def test_what_is_not_one_value_of_one_row_is_no_expression(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^The label"):
        expression(text, origin="The label")
