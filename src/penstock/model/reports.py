"""The report on a table: what its checks found in the newest load or version, and in those before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any

from penstock.model.answers import ProfileReport
from penstock.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckLine:
    """What a check found.

    Attributes:
        check: Its name.
        result: ``passed``, ``skipped``, ``warn``, ``quarantine`` or ``error``.
        rows: How many rows failed; 1 for a check of all rows together.
        share: Of all rows.
        trend: The same share of the loads before and of this one, oldest first; None where it was not run.
        columns: The columns it read.
        message: What was expected and found; empty where it held.
        examples: Five failing rows at most, values of personal columns masked.
        query: DuckDB's SQL that shows all failing rows, or the figure that was judged; empty where there is none.
        owner: Who is told.
        description: Why the check is there.
    """

    check: str
    result: str
    rows: int = 0
    share: float = 0.0
    trend: tuple[float | None, ...] = ()
    columns: tuple[str, ...] = ()
    message: str = ""
    examples: tuple[Mapping[str, Any], ...] = ()
    query: str = ""
    owner: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableReport:
    """The report on a table.

    Attributes:
        table: The table.
        number: The load or version.
        label: The interval that it covers; empty where it is of none.
        at: When it was made.
        verdict: ``accepted``, ``rejected``, ``discarded``, or ``version``.
        rows: Rows looked at.
        quarantined: Rows set aside.
        checks: A line each: what failed first.
        before: What the places of a trend stand for: loads or versions, oldest first.
        profile: What the values look like, if the load keeps a profile.
    """

    table: str
    number: int
    label: str
    at: datetime
    verdict: str
    rows: int
    quarantined: int
    checks: tuple[CheckLine, ...] = ()
    before: tuple[str, ...] = field(default=())
    profile: ProfileReport | None = None
