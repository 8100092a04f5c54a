"""Tests of transforms on small rows: what is given, what is expected, what came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from penstock.model.interval import Interval
from penstock.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformCase:
    """One test of a transform.

    Attributes:
        table: The transform.
        name: What the test says.
        file: The file that it stands in.
        given: Input to its rows, as CSV whose heading may say types: ``id:BIGINT,price``.
        expected: The rows of the result, as CSV; columns that it does not name are not compared.
        interval: The interval that is computed, for transforms by interval.
        digits: Digits after the point to which floating numbers are compared.
    """

    table: str
    name: str
    file: str
    given: Mapping[str, str]
    expected: str
    interval: Interval | None = None
    digits: int = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """What came of a test.

    Attributes:
        table: The transform.
        name: The test.
        file: The file that it stands in.
        passed: Whether the rows are those expected, in any order.
        rows: How many came.
        columns: The columns that were compared.
        missing: Rows that were expected and did not come, as texts; ``NULL`` for none.
        unexpected: Rows that came and were not expected.
        error: The sentence with which the transform failed.
    """

    table: str
    name: str
    file: str
    passed: bool
    rows: int = 0
    columns: tuple[str, ...] = ()
    missing: tuple[tuple[str, ...], ...] = ()
    unexpected: tuple[tuple[str, ...], ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CasesReport:
    """What came of all tests.

    Attributes:
        cases: The tests, in the order of their files.
        untested: Transforms of which there is no test.
    """

    cases: tuple[CaseResult, ...] = ()
    untested: tuple[str, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Say whether every test passed."""
        return all(case.passed for case in self.cases)
