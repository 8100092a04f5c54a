"""The constructors of checks: what they return, and the sentence for what cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from penstock import checks
from penstock.errors import ConfigurationError
from penstock.model.codec import decode, encode
from penstock.model.durations import parse_duration, show_duration
from penstock.model.specs import CheckSpec, Severity


def good(rows: Any) -> bool:
    """Every row is good.

    Really.
    """
    return True


async def later(rows: Any) -> bool:
    return True


def one_by_one(rows: Any) -> Iterator[bool]:
    yield True


def print_all(rows: Any, more: Any) -> bool:
    return True


class Judge:
    """Judges."""

    def validate(self, data: Any) -> bool:  # noqa: ARG002
        return True


class Called:
    def __call__(self, rows: Any) -> bool:  # noqa: ARG002
        return True


@pytest.mark.parametrize(
    ("made", "name", "parameters"),
    [
        (checks.not_null("a", "b"), "not_null(a, b)", {}),
        (checks.unique("a", against="table"), "unique(a)", {"against": "table"}),
        (checks.between("m", 1, 12), "between(m)", {"low": 1, "high": 12}),
        (checks.between("m", float("-inf"), 3), "between(m)", {"high": 3}),
        (checks.between("m", Decimal("0.1"), Decimal(7)), "between(m)", {"low": 0.1, "high": 7}),
        (checks.between("m", Decimal("1.00000000000000000001")), "between(m)", {"low": "1.00000000000000000001"}),
        (checks.between("d", date(2013, 1, 1), None), "between(d)", {"low": "2013-01-01"}),
        (checks.between("d", datetime(2013, 1, 1, tzinfo=UTC)), "between(d)", {"low": "2013-01-01T00:00:00+00:00"}),
        (checks.in_set("c", {"b", "a", None}), "in_set(c)", {"values": ["a", "b"]}),
        (checks.in_set("c", [True]), "in_set(c)", {"values": [True]}),
        (checks.matches("t", r"N\d+"), "matches(t)", {"pattern": r"N\d+"}),
        (checks.matches("t", r"\pL+"), "matches(t)", {"pattern": r"\pL+"}),
        (checks.references("t", "planes.tailnum"), "references(t)", {"table": "planes", "columns": ["tailnum"]}),
        (checks.references(["a", "b"], ["p.x", "p.y"]), "references(a, b)", {"table": "p", "columns": ["x", "y"]}),
        (checks.row_count(min=0, max=3), "row_count", {"min": 0, "max": 3}),
        (checks.fresh("at", "26h"), "fresh(at)", {"within": 93600.0}),
        (checks.expression("a  >\n 3", where="b"), "a > 3", {"sql": "a  >\n 3", "where": "b"}),
        (checks.expression("x" * 200), "x" * 79 + "…", {"sql": "x" * 200}),
        (checks.function(good, "a"), "good", {}),
        (checks.validator(Judge()), "Judge", {}),
    ],
)
def test_what_is_made(made: CheckSpec, name: str, parameters: dict[str, Any]) -> None:
    assert (made.name, made.parameters, made.severity) == (name, parameters, Severity.ERROR)
    assert decode(CheckSpec, encode(made), where="check") == made


def test_description_is_the_first_line_of_the_docstring() -> None:
    assert checks.function(good).description == "Every row is good."
    assert checks.validator(Judge()).description == "Judges."
    assert checks.function(good, description="mine").description == "mine"


def test_whatever_judges_rows_is_a_check() -> None:
    spec = checks.not_null("a")
    assert checks.as_check(spec) is spec
    assert checks.as_check(good).kind == "function"
    assert checks.as_check(lambda _: True).kind == "function"
    assert checks.as_check(partial(max, 1)).name == "partial"
    assert checks.as_check(Called()).name == "Called"
    assert checks.as_check(Judge()).kind == "validator"


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (checks.not_null, "needs a column"),
        (lambda: checks.unique("a", "A"), "names a column twice"),
        (lambda: checks.not_null(3), "must be a text"),
        (lambda: checks.not_null("a", severity="fatal"), "unknown severity"),
        (lambda: checks.not_null("a", where=" "), "must be a text"),
        (lambda: checks.not_null("a", name=""), "must be a text"),
        (lambda: checks.not_null("\ud800"), "lone surrogate"),
        (lambda: checks.unique("a", against="all"), "new, table"),
        (lambda: checks.between("m"), "needs a bound"),
        (lambda: checks.between("m", 3, 1), "low is above high"),
        (lambda: checks.between("m", 3, "x"), "two kinds"),
        (lambda: checks.between("m", True, 2), "cannot compare"),
        (lambda: checks.between("m", float("nan")), "cannot compare"),
        (lambda: checks.between("m", [1]), "cannot compare"),
        (lambda: checks.in_set("m", "abc"), "list of values"),
        (lambda: checks.in_set("m", 3), "list of values"),
        (lambda: checks.in_set("m", [None]), "at least one value"),
        (lambda: checks.in_set("m", [{}]), "cannot compare"),
        (lambda: checks.matches("m", "("), "malformed"),
        (lambda: checks.matches("m", ""), "must be a text"),
        (lambda: checks.references("a", "planes"), "which column of which one table"),
        (lambda: checks.references("a", ["p.x", "q.y"]), "which column of which one table"),
        (lambda: checks.references(["a", "b"], "p.x"), "2 columns and 1"),
        (checks.row_count, "min, max or both"),
        (lambda: checks.row_count(min=3, max=2), "min not above max"),
        (lambda: checks.row_count(min=-1), "whole numbers"),
        (lambda: checks.row_count(min=1, severity="quarantine"), "all rows together"),
        (lambda: checks.fresh("a", "1h", severity="quarantine"), "all rows together"),
        (lambda: checks.fresh("a", "soon"), "not a duration"),
        (lambda: checks.expression(""), "must be a text"),
        (lambda: checks.function(3), "needs a function"),
        (lambda: checks.function(lambda: True), "only argument"),
        (lambda: checks.function(print_all), "only argument"),
        (lambda: checks.function(later), "no plain function"),
        (lambda: checks.function(one_by_one), "no plain function"),
        (lambda: checks.validator(3), "needs a method"),
        (lambda: checks.as_check(3), "not a check"),
    ],
)
def test_what_cannot_be_gets_a_sentence(make: Callable[[], CheckSpec], part: str) -> None:
    with pytest.raises(ConfigurationError, match=part):
        make()


@pytest.mark.parametrize(
    ("text", "seconds", "shown"),
    [
        ("26h", 93600, "1d2h"),
        ("7d", 604800, "7d"),
        ("90m", 5400, "1h30m"),
        ("1h30m", 5400, "1h30m"),
        (" 1h 30m ", 5400, "1h30m"),
        ("2w", 1209600, "14d"),
        ("1.5s", 1.5, "1s500ms"),
        ("0s", 0, "0s"),
        (timedelta(hours=2), 7200, "2h"),
    ],
)
def test_durations(text: str | timedelta, seconds: float, shown: str) -> None:
    found = parse_duration(text)
    assert found == timedelta(seconds=seconds)
    assert show_duration(found) == shown
    assert parse_duration(shown) == found


@pytest.mark.parametrize(
    "text", ["", "h", "3", "-1h", "30m1h", "1h1h", "1H", "1h x", "٣h", "9" * 20 + "w", timedelta(-1), None, 3]
)
def test_what_is_no_duration(text: Any) -> None:
    with pytest.raises(ConfigurationError, match="duration"):
        parse_duration(text)
