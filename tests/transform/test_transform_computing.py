from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from penstock.errors import BugError, ConfigurationError, DataError
from penstock.model.entries import Column
from penstock.model.interval import Interval
from penstock.model.specs import TransformSpec
from penstock.transform.computing import Computed, Transforming, TransformPorts, compute

Compute = Callable[..., tuple[Computed, list[tuple[Any, ...]]]]
DAY = Interval.parse("2013-01-05")


def query(sql: str, **fields: Any) -> TransformSpec:
    return TransformSpec(table="delays", sql=sql, origin="delays.sql", **fields)


def test_a_query_sees_its_inputs_under_their_own_names(computed: Compute) -> None:
    found, rows = computed(
        query(
            "select flights.flight_id, f.dep_delay from flights, flights f "
            "where flights.flight_id = f.flight_id order by 1 desc"
        )
    )
    assert [row[0] for row in rows] == list(range(47, -1, -1))
    assert found.rows == 48
    assert found.columns == (Column(name="flight_id", type="BIGINT"), Column(name="dep_delay", type="INTEGER"))


def test_a_star_gives_the_users_columns_alone(computed: Compute) -> None:
    found, _ = computed(query("select * from flights"))
    assert [column.name for column in found.columns] == ["flight_id", "origin", "time_hour", "dep_delay"]
    found, _ = computed(query("select distinct * exclude (flight_id, time_hour, dep_delay) from flights"))
    assert found.rows == 3
    found, _ = computed(query("select * from flights join flights f using (flight_id, origin, time_hour, dep_delay)"))
    assert len(found.columns) == 4


def test_an_internal_column_can_be_named_but_not_kept_under_its_name(computed: Compute) -> None:
    found, rows = computed(query("select max(_created_at) as known_at, max(_load) as l from flights"))
    assert [column.name for column in found.columns] == ["known_at", "l"]
    assert rows[0][1] == 1
    found, _ = computed(query("select *, _updated_at as seen from flights"))
    assert [column.name for column in found.columns] == ["flight_id", "origin", "time_hour", "dep_delay", "seen"]
    with pytest.raises(ConfigurationError, match=r"keeps for itself. Got: _load. Give it another name: _load AS load"):
        computed(query("select flight_id, _load from flights"))


def test_sums_of_integers_become_bigint_and_bare_nulls_text(computed: Compute) -> None:
    found, rows = computed(query("select sum(flight_id) s, null n, {'a': [null], 'b': 1} d from flights"))
    assert [column.type for column in found.columns] == ["BIGINT", "VARCHAR", 'STRUCT("a" VARCHAR[], "b" INTEGER)']
    assert [column.stored for column in found.columns] == [None, None, None]
    assert rows == [(1128, None, {"a": [None], "b": 1})]
    with pytest.raises(DataError, match="out of range"):
        computed(query("select sum(9223372036854775807) s from flights"))


def test_types_that_delta_lacks_say_how_they_are_stored(computed: Compute) -> None:
    found, _ = computed(
        query(
            "select 1::ubigint a, uuid '11111111-1111-1111-1111-111111111111' b, time '01:02' c, [1.5, 2]::float[2] d"
        )
    )
    assert [(column.type, column.stored) for column in found.columns] == [
        ("UBIGINT", "DECIMAL(20,0)"),
        ("UUID", "VARCHAR"),
        ("TIME", "BIGINT"),
        ("FLOAT[2]", "FLOAT[]"),
    ]


@pytest.mark.parametrize(
    ("sql", "kind", "said"),
    [
        ("select * from fligths", ConfigurationError, "Did you mean 'flights'"),
        ("select dep_dely from flights", ConfigurationError, "dep_dely"),
        ("select flight_id, origin as FLIGHT_ID from flights", ConfigurationError, "two columns with the same name"),
        ("select * from flights f join flights g on true", ConfigurationError, "two columns with the same name"),
        ("select 1 / 0 as x, origin::integer as y from flights", DataError, "Could not convert string 'EWR'"),
        ("select * from flights where time_hour < :interval_start", ConfigurationError, 'interval="COLUMN"'),
        ("select * from flights; select 1", ConfigurationError, "exactly one query"),
        ("select nonsense(1)", ConfigurationError, "nonsense"),
    ],
)
def test_a_query_that_cannot_run_says_why(computed: Compute, sql: str, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=r"delays\.sql") as caught:
        computed(query(sql))
    assert said in str(caught.value)


def test_an_input_that_is_not_loaded_yet_is_named(bench: Any) -> None:
    spec = Transforming(transform=query("select * from planes"), names={"planes": "raw_planes"})
    with bench.warehouse.reading() as transaction, pytest.raises(ConfigurationError, match="no table 'raw_planes' yet"):
        compute(spec, TransformPorts(transaction))


def test_content_depends_on_rows_but_not_on_their_order(computed: Compute) -> None:
    first, _ = computed(query("select origin, dep_delay from flights order by flight_id"))
    second, _ = computed(query("select origin, dep_delay from flights order by flight_id desc"))
    assert first.content == second.content
    for other in (
        "select origin, dep_delay from flights where flight_id > 0",
        "select origin, dep_delay + (flight_id = 3)::int as dep_delay from flights",
        "select origin, dep_delay::bigint as dep_delay from flights",
        "select origin, dep_delay as delay from flights",
        "select origin, dep_delay from flights union all select null, null",
    ):
        assert computed(query(other))[0].content != first.content


def test_rows_of_an_interval_must_lie_within_it(computed: Compute) -> None:
    bounded = "select * from flights where time_hour >= :interval_start and time_hour < :interval_end"
    found, rows = computed(query(bounded, interval="time_hour"), DAY)
    assert found.rows == 24
    assert {row[0] for row in rows} == set(range(24))
    for sql, count in (
        ("select * from flights", 24),
        ("select * from flights where time_hour <= :interval_end", 1),
        ("select time_hour - interval 1 microsecond as time_hour from flights limit 1", 1),
        ("select null::timestamp as time_hour from flights", 48),
    ):
        with pytest.raises(DataError, match=rf"made {count} rows whose 'time_hour' .*2013-01-05") as caught:
            computed(query(sql, interval="TIME_HOUR"), DAY)
        assert ":interval_start" in str(caught.value)


def test_the_column_of_the_interval_must_be_a_moment_of_the_result(computed: Compute) -> None:
    with pytest.raises(ConfigurationError, match="no column 'day'"):
        computed(query("select flight_id from flights", interval="day"), DAY)
    with pytest.raises(ConfigurationError, match=r"holds no moments. Got: BIGINT"):
        computed(query("select flight_id from flights", interval="flight_id"), DAY)
    found, _ = computed(query("select date '2013-01-05' as day", interval="day"), DAY)
    assert found.rows == 1
    with pytest.raises(BugError):
        computed(query("select 1 as x"), DAY)


def test_an_upstream_result_of_the_same_transaction_is_seen(bench: Any) -> None:
    with bench.warehouse.writing() as transaction:
        transaction.connection.execute("create table late as select * from raw_flights where dep_delay > 15")
        found = compute(
            Transforming(transform=query("select count(*) n from late"), names={"late": "late"}),
            TransformPorts(transaction),
        )
        assert transaction.execute(f'select n from "{found.relation}"') == [(22,)]
