"""Lineage: what a version was made of, step by step, back to what was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime

from penstock.model.entries import InputVersion
from penstock.model.interval import Interval
from penstock.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageStep:
    """A load or version that the table was made of.

    Attributes:
        table: The lake table.
        number: The load or version.
        kind: ``load`` or ``version``.
        created_at: When it was made.
        run: The run that made it.
        interval: The interval, if it had one.
        rows: Rows that it holds.
        read: Of a load: what was read: files, URLs, tables of databases.
        code: Of a version: the code that made it, as it was then, and of a load the code that scored its rows; empty
            where it was not kept.
        scored: Of a load: the model that scored its rows, with its version and its function; empty: none did.
        passed: The checks that held.
        failed: What the others found, in sentences.
        quarantined: Rows that were set aside.
        verdict: Of a load: what became of it.
        accepted_by: Of a load that a person accepted though checks had rejected it: who, and why.
        inputs: Of a version: what it was made of.
        columns: Column to the columns that its values come from, as ``orders.price``; of a load to the names in the
            source. A column that is missing here may come from any of the inputs (a function made it).
    """

    table: str
    number: int
    kind: str
    created_at: datetime
    run: str | None = None
    interval: Interval | None = None
    rows: int = 0
    read: tuple[str, ...] = ()
    code: str = ""
    scored: str = ""
    passed: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    quarantined: int = 0
    verdict: str = ""
    accepted_by: str = ""
    inputs: tuple[InputVersion, ...] = ()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageRelease:
    """A release that served the version.

    Attributes:
        number: The release.
        created_at: When it was promoted.
        by: Who promoted it.
        candidate: The candidate.
        approved_by: Who approved it.
        reason: Why, as they said.
    """

    number: int
    created_at: datetime
    by: str
    candidate: str
    approved_by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageReport:
    """What made a table as it stood at a moment.

    Attributes:
        table: The lake table.
        number: Its newest load or version then.
        as_of: The moment.
        run: The run whose end that was; None: now.
        column: The column that was asked for; empty: all.
        steps: What it was made of: itself first, then its inputs, back to the loads.
        releases: The releases that served this version, oldest first.
    """

    table: str
    number: int
    as_of: datetime
    run: str | None = None
    column: str = ""
    steps: tuple[LineageStep, ...] = ()
    releases: tuple[LineageRelease, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsSpec:
    """Where OpenLineage events of runs are sent.

    Attributes:
        to: A file to which lines are added, an ``http(s)://`` address, or ``kafka://host:9092/topic``.
        namespace: Of jobs and tables.
        token: Sent as a bearer token over HTTP.
        wait: Seconds that the end of a run waits at most.
    """

    to: str
    namespace: str
    token: str = field(default="", repr=False)
    wait: float = 2.0
