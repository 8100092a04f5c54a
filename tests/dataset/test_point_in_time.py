"""The point-in-time join against the same rule written as plain Python over all pairs."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.dataset.joining import AT, PLACE, Join, candidates, key, matches, resolve, usable_rows, widened
from penstock.errors import ConfigurationError
from penstock.model.specs import DatasetSpec, FeatureSpec

BASE = datetime(2013, 3, 10, 6, 59, 59, 999_990, tzinfo=UTC)
SPEC = FeatureSpec(table="f", on=("k",), event_time="event", known_at="known", columns=("value",))

Label = tuple[int | None, int | None]
Feature = tuple[int | None, int | None, int | None, int]


def at(micros: int | None) -> datetime | None:
    return None if micros is None else BASE + timedelta(microseconds=micros)


def oracle(spec: FeatureSpec, labels: Sequence[Label], features: Sequence[Feature]) -> list[set[int | None]]:
    """Return for each label the values that may be taken; several only where rows are equal in key and both times."""
    delay = spec.available_after // timedelta(microseconds=1)
    answers: list[set[int | None]] = []
    for label_key, moment in labels:
        best: tuple[int, int] | None = None
        values: set[int | None] = {None}
        for feature_key, event, stated, value in features:
            known = stated if spec.known_at else (None if event is None else event + delay)
            if None in (label_key, moment, feature_key, event, known) or feature_key != label_key:
                continue
            assert event is not None
            assert known is not None
            assert moment is not None
            if max(event, known) > moment:
                continue
            if best is None or (event, known) > best:
                best, values = (event, known), {value}
            elif (event, known) == best:
                values.add(value)
        if best is not None and spec.expires_after is not None:
            assert moment is not None
            if timedelta(microseconds=moment - best[0]) >= spec.expires_after:
                values = {None}
        answers.append(values)
    return answers


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 2, "python_enable_replacements": "false"}) as found:
        found.execute("set timezone = 'UTC'")
        yield found


def joined(
    connection: duckdb.DuckDBPyConnection, spec: FeatureSpec, labels: Sequence[Label], features: Sequence[Feature]
) -> list[tuple[Any, ...]]:
    """Run the join; return (place, value, known_at) in the order of the labels."""
    moment = pa.timestamp("us", "UTC")
    connection.register(
        "l",
        pa.table(
            {
                PLACE: pa.array(range(len(labels)), pa.int64()),
                key(0, 0): pa.array([label[0] for label in labels], pa.int64()),
                AT: pa.array([at(label[1]) for label in labels], moment),
            }
        ),
    )
    connection.register(
        "f",
        pa.table(
            {
                "k": pa.array([feature[0] for feature in features], pa.int32()),
                "event": pa.array([at(feature[1]) for feature in features], moment),
                "known": pa.array([at(feature[2]) for feature in features], moment),
                "value": pa.array([feature[3] for feature in features], pa.int64()),
            }
        ),
    )
    join = plan(spec)
    asof = matches(join, 0, "found", "l")
    assert " OR " not in asof.split(" ON ")[-1]
    assert "LIMIT" not in asof.upper()
    connection.execute(f"create or replace temp table found as {candidates(join, 0, 'f', 'l')}")
    connection.execute(f"create or replace temp table matched as {asof}")
    query = widened(join, "found", "matched", "l")
    return connection.execute(f"select {PLACE}, f_value, f_known_at from ({query}) order by all").fetchall()


def plan(spec: FeatureSpec) -> Join:
    moment = "TIMESTAMP WITH TIME ZONE"
    return resolve(
        spec, {"k": "BIGINT"}, {"k": "INTEGER", "event": moment, "known": moment, "value": "BIGINT"}, where="t"
    )


micros = st.one_of(st.none(), st.integers(-6, 6))
keys = st.one_of(st.none(), st.integers(0, 2))
specs = st.builds(
    lambda stated, delay, age: replace(
        SPEC,
        known_at="known" if stated else None,
        available_after=timedelta(microseconds=delay),
        expires_after=None if age is None else timedelta(microseconds=age),
    ),
    st.booleans(),
    st.integers(0, 3),
    st.one_of(st.none(), st.integers(1, 6)),
)


@settings(max_examples=100, deadline=None)
@given(
    spec=specs,
    labels=st.lists(st.tuples(keys, micros), max_size=40),
    features=st.lists(st.tuples(keys, micros, micros, st.integers(0, 5)), max_size=30),
)
def test_the_join_is_the_rule(
    connection: duckdb.DuckDBPyConnection, spec: FeatureSpec, labels: list[Label], features: list[Feature]
) -> None:
    found = joined(connection, spec, labels, features)
    allowed = oracle(spec, labels, features)
    assert [row[0] for row in found] == list(range(len(labels)))
    for (_, value, known), values, (_, moment) in zip(found, allowed, labels, strict=True):
        assert value in values
        assert (known is None) == (values == {None})
        if known is not None:
            assert known <= (at(moment) or BASE)


@pytest.mark.parametrize("probes", [63, 64, 65, 5_000])
def test_the_join_is_the_rule_at_every_size_of_probe(connection: duckdb.DuckDBPyConnection, probes: int) -> None:
    chance = random.Random(probes)
    features: list[Feature] = []
    for number in range(800):
        event = chance.randrange(0, 400)
        late = chance.choice((0, 0, 1, 5, 90))
        features.append((chance.randrange(25), event, event + late, number))
    features += [
        (k, event, known + 7, value + 10_000) for k, event, known, value in features[:100] if known is not None
    ]
    labels: list[Label] = [(chance.randrange(26), chance.randrange(-2, 420)) for _ in range(probes)]
    found = joined(connection, SPEC, labels, features)
    wrong = [row for row, values in zip(found, oracle(SPEC, labels, features), strict=True) if row[1] not in values]
    assert wrong == []


def test_boundaries_are_exact_to_the_microsecond(connection: duckdb.DuckDBPyConnection) -> None:
    features: list[Feature] = [(1, 0, 3, 7)]
    spec = replace(SPEC, expires_after=timedelta(microseconds=5))
    labels: list[Label] = [(1, micro) for micro in (2, 3, 4, 5, 6)]
    assert [row[1] for row in joined(connection, spec, labels, features)] == [None, 7, 7, None, None]


def test_a_correction_counts_from_the_moment_it_was_known(connection: duckdb.DuckDBPyConnection) -> None:
    features: list[Feature] = [(1, 0, 0, 10), (1, 0, 5, 11), (1, -3, 8, 12)]
    labels: list[Label] = [(1, micro) for micro in (-1, 0, 4, 5, 9)]
    assert [row[1] for row in joined(connection, SPEC, labels, features)] == [None, 10, 10, 11, 11]


def test_what_arrives_later_does_not_change_what_was_known(connection: duckdb.DuckDBPyConnection) -> None:
    chance = random.Random(4)
    features: list[Feature] = [
        (chance.randrange(5), event := chance.randrange(100), event + chance.randrange(10), number)
        for number in range(400)
    ]
    labels: list[Label] = [(chance.randrange(5), chance.randrange(110)) for _ in range(500)]
    later: list[Feature] = [(k, event, 200 + number, -1) for number, (k, event, _, _) in enumerate(features)]
    assert joined(connection, SPEC, labels, features + later) == joined(connection, SPEC, labels, features)


@pytest.mark.parametrize("copies", [2, 3, 5])
def test_full_ties_fall_the_same_way_whatever_threads_and_order(copies: int) -> None:
    features: list[Feature] = [
        (k, event, event, k * 100 + event * 10 + n) for k in range(20) for event in range(10) for n in range(copies)
    ]
    labels: list[Label] = [(k, event) for k in range(20) for event in range(10)]
    answers = set()
    for threads in (1, 2, 8):
        for seed in range(3):
            shuffled = random.Random(seed).sample(features, len(features))
            with duckdb.connect(config={"threads": threads, "python_enable_replacements": "false"}) as connection:
                answers.add(tuple(joined(connection, SPEC, labels, shuffled)))
    assert len(answers) == 1


def test_duplicated_samples_are_all_kept(connection: duckdb.DuckDBPyConnection) -> None:
    labels: list[Label] = [(1, 5)] * 70 + [(None, 5)] * 3 + [(1, None)] * 2 + [(9, 5)]
    found = joined(connection, SPEC, labels, [(1, 4, 4, 8), (1, 4, 4, 8), (None, 4, 4, 9)])
    assert [row[1] for row in found] == [8] * 70 + [None] * 6


def test_each_key_and_moment_has_one_usable_row(connection: duckdb.DuckDBPyConnection) -> None:
    joined(connection, SPEC, [(1, 9)], [(1, 0, 4, 1), (1, 1, 4, 2), (1, 2, 3, 3), (1, 2, 3, 4), (1, 2, None, 5)])
    rows = connection.execute(usable_rows(plan(SPEC), "found")).fetchall()
    assert [(row[1], row[2]) for row in rows] == [(at(3), at(2))]


@pytest.mark.parametrize(
    ("label_time", "feature_time", "joins"),
    [
        ("timestamp '2013-03-10 07:00:00'", "timestamptz '2013-03-10 03:00:00-04'", True),
        ("timestamptz '2013-03-10 06:59:59.999999+00'", "timestamp '2013-03-10 07:00:00'", False),
        ("date '2013-03-10'", "timestamp '2013-03-10 00:00:00'", True),
        ("timestamp '2013-03-09 23:59:59'", "date '2013-03-10'", False),
        ("timestamp '2013-03-10 00:00:00'", "timestamp_ns '2013-03-10 00:00:00.000000001'", False),
        ("timestamp_ns '2013-03-10 00:00:00.000000999'", "timestamp '2013-03-10 00:00:00.000001'", False),
        ("timestamp_ns '1969-12-31 23:59:59.000000999'", "timestamp '1969-12-31 23:59:59.000001'", False),
        ("timestamp_ns '1969-12-31 23:59:59.000001999'", "timestamp '1969-12-31 23:59:59.000001'", True),
        ("timestamp_ns '2013-03-10 00:00:00.000001000'", "timestamp_ns '2013-03-10 00:00:00.000001'", True),
        ("timestamptz '2013-11-03 05:30:00+00'", "timestamptz '2013-11-03 01:30:00-04'", True),
        ("timestamptz '2013-11-03 05:30:00+00'", "timestamptz '2013-11-03 01:30:00-05'", False),
    ],
)
def test_times_of_all_types_and_zones_compare(bench: Any, label_time: str, feature_time: str, joins: bool) -> None:
    bench.table("l", f"select 1 as k, {label_time} as at, true as y")
    bench.table("f", f"select 1 as k, {feature_time} as event, 5 as value")
    feature = FeatureSpec(table="f", on=("k",), event_time="event")
    receipt = bench.build(DatasetSpec(name="d", table="l", label="y", event_time="at", features=(feature,)))
    assert [row["f_value"] for row in bench.rows(receipt)] == [5 if joins else None]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"on": ("kk",)}, "no column 'kk'"),
        ({"on": ()}, "at least one key"),
        ({"event_time": "evnt"}, "Did you mean 'event'"),
        ({"event_time": "value"}, "cannot be used as a time"),
        ({"known_at": "k"}, "cannot be used as a time"),
        ({"columns": ("valu",)}, "Did you mean 'value'"),
    ],
)
def test_a_join_that_does_not_fit_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=r"features of 'f'") as caught:
        plan(replace(SPEC, **change))
    assert said in str(caught.value)


def test_keys_of_different_kinds_are_refused() -> None:
    columns = {"k": "VARCHAR", "event": "DATE", "known": "DATE", "value": "BIGINT"}
    with pytest.raises(ConfigurationError, match=r"different types .* Got: BIGINT and VARCHAR"):
        resolve(SPEC, {"k": "BIGINT"}, columns, where="t")
