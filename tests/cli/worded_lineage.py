"""Lineage and tests of transforms as values, and what is said of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from penstock.model.lineage import LineageRelease, LineageReport, LineageStep
from penstock.model.testing import CaseResult, CasesReport

AT = datetime(2026, 11, 21, 2, 30, 54, tzinfo=UTC)

SAID: list[tuple[Any, list[str]]] = [
    (
        LineageReport(
            table="delays",
            number=4,
            as_of=AT,
            column="mean",
            steps=(
                LineageStep(
                    table="delays",
                    number=4,
                    kind="version",
                    created_at=AT,
                    code="SELECT 1",
                    failed=("two rows are late",),
                    columns={"mean": ("flights.delay",)},
                ),
                LineageStep(table="raw_flights", number=7, kind="load", created_at=AT, read=("ops.flights",)),
            ),
            releases=(
                LineageRelease(number=3, created_at=AT, by="ada", candidate="c", approved_by="bob", reason="fine"),
            ),
        ),
        [
            *("delays.mean stood at 4 on 2026-11-21", "flights.delay", "raw_flights read:", "  ops.flights"),
            *("The code of delays:", "two rows are late"),
            "Release 3 of 2026-11-21 02:30:54 UTC by ada, approved by bob: fine",
        ],
    ),
    (
        CasesReport(
            cases=(
                CaseResult(table="delays", name="counts", file="tests/delays.toml", passed=True),
                CaseResult(table="delays", name="sums", file="tests/delays.toml", passed=False, error="It failed."),
            ),
            untested=("gates",),
        ),
        [
            "ok      delays: counts",
            "failed  delays: sums (tests/delays.toml)",
            "  It failed.",
            "1 passed, 1 failed",
            "gates",
        ],
    ),
]
