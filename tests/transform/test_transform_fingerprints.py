from __future__ import annotations

import importlib.util
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.model.entries import InputVersion
from penstock.model.interval import Interval
from penstock.model.specs import TransformSpec
from penstock.transform.fingerprints import code_fingerprint, fingerprint

SOURCE = '''
import math
import re

LIMIT = 15
SETS = {"b", "a"}
PATTERN = re.compile("x+")

class Row:
    """Docstring."""
    width = 3

def scale(x):
    return x * LIMIT

def late(flights, *, share=0.5):
    """Says late."""
    # a comment
    return flights.filter(f"dep_delay > {scale(share)}"), SETS, Row, PATTERN, math.pi
'''


@pytest.fixture
def printed(tmp_path: Path) -> Callable[[str], str]:
    number = iter(range(1000))

    def of(source: str) -> str:
        path = tmp_path / f"steps_{next(number)}.py"
        path.write_text(textwrap.dedent(source))
        spec = importlib.util.spec_from_file_location("flights_steps", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return code_fingerprint(TransformSpec(table="late", function=module.late, inputs=("flights",)))

    return of


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""Says late."""', '"""Says otherwise."""'),
        ('    """Says late."""\n', ""),
        ("# a comment", "# another comment"),
        ("x * LIMIT", "x  *  LIMIT  # scaled"),
        ('"""Docstring."""', '"""Other."""'),
        ('{"b", "a"}', '{"a", "b"}'),
        ("import math\n", "import math\n\nUNUSED = 1\n"),
    ],
)
def test_what_changes_nothing_keeps_the_fingerprint(printed: Callable[[str], str], old: str, new: str) -> None:
    assert old in SOURCE
    assert printed(SOURCE.replace(old, new)) == printed(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("dep_delay >", "dep_delay >="),
        ("share=0.5", "share=0.6"),
        ("LIMIT = 15", "LIMIT = 16"),
        ("x * LIMIT", "x + LIMIT"),
        ('{"b", "a"}', '{"b", "c"}'),
        ('compile("x+")', 'compile("x*")'),
        ("width = 3", "width = 4"),
    ],
)
def test_what_changes_the_result_changes_the_fingerprint(printed: Callable[[str], str], old: str, new: str) -> None:
    assert old in SOURCE
    assert printed(SOURCE.replace(old, new)) != printed(SOURCE)


def test_values_closed_over_count() -> None:
    def with_limit(limit: Any) -> TransformSpec:
        def late(flights: Any) -> Any:
            return flights.filter(f"dep_delay > {limit}")

        return TransformSpec(table="late", function=late)

    assert code_fingerprint(with_limit(15)) == code_fingerprint(with_limit(15))
    assert code_fingerprint(with_limit(15)) != code_fingerprint(with_limit(16))
    assert code_fingerprint(with_limit({"a": [1]})) != code_fingerprint(with_limit({"a": [2]}))


def test_functions_that_call_each_other_end() -> None:
    assert code_fingerprint(TransformSpec(table="even", function=_even)) != code_fingerprint(
        TransformSpec(table="even", function=_odd)
    )


def _even(n: Any) -> Any:
    return n == 0 or _odd(n - 1)


def _odd(n: Any) -> Any:
    return n != 0 and _even(n - 1)


def test_functions_without_source_go_by_their_code() -> None:
    made = [eval(text) for text in ("lambda t: t", "lambda t: t", "lambda t: t.limit(1)", "lambda t: t.limit(2)")]
    first, same, other, third = (code_fingerprint(TransformSpec(table="x", function=item)) for item in made)
    assert first == same
    assert len({first, other, third}) == 3


def test_queries_go_by_their_meaning() -> None:
    def of(sql: str, **fields: Any) -> str:
        return code_fingerprint(TransformSpec(table="delays", sql=sql, **fields))

    assert of("select a from t -- why") == of("SELECT\n  a\nFROM t;")
    assert of("select a from t") != of("select b from t")
    assert of("select a from t") != of("select a from t", interval="a")


def test_inputs_interval_and_parameters_count() -> None:
    transform = TransformSpec(table="delays", sql="select a from t")
    one = (InputVersion(table="raw_t", number=1), InputVersion(table="raw_u", number=2))
    plain = fingerprint(transform, one)
    assert fingerprint(transform, tuple(reversed(one))) == plain
    others = [
        fingerprint(transform, one[:1]),
        fingerprint(transform, (InputVersion(table="raw_t", number=2), one[1])),
        fingerprint(transform, one, Interval.parse("2013-01-05")),
        fingerprint(transform, one, parameters={"limit": 3}),
        code_fingerprint(transform),
    ]
    assert len({plain, *others}) == 6
