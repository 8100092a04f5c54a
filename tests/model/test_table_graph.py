from __future__ import annotations

import pytest

from penstock.errors import ConfigurationError
from penstock.model.graph import graph, upstream
from penstock.model.specs import TransformSpec


def made(table: str, *inputs: str) -> TransformSpec:
    return TransformSpec(table=table, sql="select 1", inputs=inputs, origin=f"{table}.sql")


def test_each_comes_after_what_it_reads_and_the_declared_order_stays_among_equals() -> None:
    declared = [made("d", "c", "b"), made("x", "s"), made("c", "a"), made("a", "s"), made("b", "A")]
    assert [item.table for item in graph(declared, ["S"])] == ["a", "c", "b", "d", "x"]
    assert upstream("d", declared) >= {"a", "b", "c", "s"}
    assert upstream("s", declared) == frozenset()


def test_a_cycle_is_named_from_table_to_table() -> None:
    with pytest.raises(ConfigurationError, match=r"a → b → c → a"):
        graph([made("a", "c", "s"), made("b", "a"), made("c", "b")], ["s"])
    with pytest.raises(ConfigurationError, match=r"a → a"):
        graph([made("a", "a")], [])


def test_an_unknown_table_is_named_with_the_nearest_one() -> None:
    with pytest.raises(ConfigurationError, match=r"no table 'fligths' \(read by d\.sql\).*Did you mean 'flights'"):
        graph([made("d", "fligths")], ["flights", "weather"])


def test_two_makers_of_one_table_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="Two transforms make the table 'D'"):
        graph([made("d"), made("D")], [])
    with pytest.raises(ConfigurationError, match="name of a source"):
        graph([made("Flights")], ["flights"])
