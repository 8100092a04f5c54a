"""Hostile names and values in checks, and conditions that stop on the data: they spoil no other check."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import pytest

from penstock import checks
from penstock.errors import DataError

HOSTILE = [
    'a"b',
    "it's",
    "x; DROP TABLE y",
    "--",
    "select",
    " ",
    "é😀",
    "a.b",
    "{}",
    "%s",
    "_reasons",
    "_file",
    "lambda",
]


def test_hostile_names(bench: Any) -> None:
    rows = pa.table({name: ["x", "x", None] for name in HOSTILE})
    flights = bench.land(rows)
    asked = [
        check
        for name in HOSTILE
        for check in (
            checks.not_null(name, severity="quarantine", name=f"{name}'\"; null"),
            checks.unique(name, severity="warn"),
            checks.matches(name, "x", name=f"m {name}"),
            checks.references(name, f"ta'b\"le.{name}", name=f"r {name}"),
        )
    ]
    tables = {"ta'b\"le": "(SELECT " + ", ".join("'x' AS \"" + name.replace('"', '""') + '"' for name in HOSTILE) + ")"}
    receipt = flights.check(*asked, tables=tables)
    assert {(item.check, item.count) for item in receipt.report.failures} == {
        pair for name in HOSTILE for pair in ((f"{name}'\"; null", 1), (f"unique({name})", 1))
    }
    assert flights.set_aside(receipt) == {2: [f"{name}'\"; null" for name in HOSTILE]}
    assert set(receipt.profile) == set(HOSTILE)


@pytest.mark.parametrize("value", ["'); DROP TABLE x; --", "\\", "\0", "a\0b", "$$", "?", "😀", "\n", '"'])
def test_hostile_values(bench: Any, value: str) -> None:
    flights = bench.land(pa.table({"s": [value, "z"]}))
    for spec in (
        checks.in_set("s", [value]),
        checks.between("s", value, value),
        checks.matches("s", re.escape(value).replace("\0", "\\x00").replace("\\\n", "\\n")),
        checks.function(lambda rows: [text == value for text in rows["s"].to_pylist()]),
    ):
        failure = flights.failure(spec)
        assert (failure.count, failure.examples[0]["s"]) == (1, "z")


def test_a_condition_that_stops_on_the_data_spoils_no_other(bench: Any) -> None:
    flights = bench.land(pa.table({"s": ["1", "secret"], "i": [1, None]}))
    receipt = flights.check(
        checks.expression("CAST(s AS INTEGER) > 0", severity="warn"),
        checks.not_null("i", severity="warn"),
        checks.between("i", 2, 3, severity="warn"),
        checks.unique("s"),
    )
    assert receipt.report.passed == ("unique(s)",)
    broken, missing, outside = receipt.report.failures
    assert (broken.severity, missing.count, outside.count) == ("error", 1, 1)
    assert broken.message.startswith("the check itself failed: ConversionException: ")
    assert receipt.profile["i"]["nulls"] == 1
    hidden = flights.check(checks.expression("CAST(s AS INTEGER) > 0"), personal=("s",)).report.failures[0]
    assert hidden.message == "the check itself failed: ConversionException"


def test_a_condition_that_stops_inside_a_transaction_is_a_data_error(bench: Any) -> None:
    flights = bench.land(pa.table({"s": ["1", "secret"]}))
    flights.connection.execute("BEGIN")
    with pytest.raises(DataError, match=r"CAST\(s AS INTEGER\) > 0"):
        flights.check(checks.expression("CAST(s AS INTEGER) > 0"))
    flights.connection.execute("ROLLBACK")
