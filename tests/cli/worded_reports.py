"""What checks, profiles, drift and reports found, as values, and what is said of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from penstock.model import answers
from penstock.model.answers import ColumnFigures, ProfileReport
from penstock.model.entries import CheckFailure, CheckReport
from penstock.model.receipts import CheckReceipt
from penstock.model.reports import CheckLine, TableReport
from penstock.monitor.drift import ColumnDrift, DriftReport

AT = datetime(2026, 11, 21, 2, 30, 54, 123000, tzinfo=UTC)
ERROR = CheckFailure(
    check="unique(id)",
    severity="error",
    columns=("id",),
    count=4,
    message="id repeats",
    examples=({"id": "7", "x": None},),
)
WARNING = CheckFailure(check="fresh", severity="warn", columns=(), count=1, message="too old")
REPORT = CheckReport(rows=10, passed=("not_null(id)",), failures=(WARNING, ERROR), quarantined=2)

SAID: list[tuple[Any, list[str]]] = [
    (
        CheckReceipt(table="raw_flights", report=REPORT),
        ["10 rows looked at", "passed  not_null(id)", "error   unique(id)       4", "unique(id): id=7, x=null"],
    ),
    (
        ProfileReport(
            table="flights",
            rows=5,
            origin="merged from 2 kept profiles",
            columns=(
                ColumnFigures(
                    column="delay",
                    type="BIGINT",
                    kind="discrete",
                    nulls=1,
                    null_share=0.2,
                    distinct=3,
                    least=1.0,
                    greatest=9.0,
                    quantiles={"0.5": 2.0},
                    top={"1": 2, "": 1},
                    histogram=(2.0, 0.0, 1.0),
                ),
            ),
        ),
        ["flights: 5 rows, merged from 2 kept profiles.", "20.0 %", "~3", "█ ▄", "1 2, (empty) 1"],
    ),
    (
        DriftReport(
            table="flights",
            reference="flights 1",
            current="flights 2",
            rows=(10, 20),
            schema=("gate is new",),
            columns=(
                ColumnDrift(column="delay", drifted=True, reasons=("50.0 % nulls, it had 0.0 %",), nulls=(0.0, 0.5)),
                ColumnDrift(column="month", drifted=False, stability=0.01, stability_limit=0.1),
            ),
        ),
        ["flights 2 (20 rows) against flights 1 (10).", "gate is new", "delay: 50.0 % nulls", "0.010", "drifted"],
    ),
    (
        DriftReport(table="flights", reference="flights 1", current="flights 2", rows=(10, 20)),
        ["Nothing differs by more than chance and by enough to matter."],
    ),
    (
        DriftReport(
            table="t", reference="usual", current="t 9", rows=(5, 4), unusual=("delay: mean 9, expected 1 to 2",)
        ),
        ["t 9 (4 rows) against usual (5).", "delay: mean 9, expected 1 to 2"],
    ),
    (
        answers.SuggestedChecks(
            table="t",
            loads=3,
            rows=9,
            checks=(answers.SuggestedCheck(kind="unique", code='checks.unique("id")', reason="no two alike"),),
            code="CHECKS = {\n}\n",
        ),
        ["# 1 check that 3 loads of t passed.", "CHECKS = {\n}"],
    ),
    (
        TableReport(
            table="t",
            number=9,
            label="2013-01-05",
            at=AT,
            verdict="rejected",
            rows=8,
            quarantined=2,
            checks=(
                CheckLine(
                    check="unique(id)",
                    result="error",
                    rows=4,
                    share=0.5,
                    trend=(None, 0.0, 0.5),
                    message="id repeats",
                    examples=({"id": "7"},),
                    query="SELECT 1",
                ),
                CheckLine(check="not_null(id)", result="passed", trend=(0.0, 0.0, 0.0)),
            ),
            before=("7", "8", "9"),
            profile=ProfileReport(table="t", rows=8, origin="kept", columns=()),
        ),
        [
            "t, load 9 of 2013-01-05: rejected, 8 rows.",
            "1 of 2 checks failed: unique(id). 2 rows set aside.",
            "50.0 %  ·▁█",
            "unique(id): id repeats",
            "SELECT 1",
        ],
    ),
    (
        TableReport(table="t", number=2, label="", at=AT, verdict="version", rows=1, quarantined=0),
        ["t, version 2, 1 row.", "It has no checks."],
    ),
    (CheckReceipt(table="t", report=CheckReport()), ["t: 0 rows looked at.", "It has no checks."]),
]
