"""Receipts: what each stage and run says it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from typing import Any

from penstock.model.contracts import SchemaChange
from penstock.model.entries import CheckReport, Entry, InputVersion
from penstock.model.interval import Interval
from penstock.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LandReceipt:
    """What landing one extraction did.

    Attributes:
        table: The raw table.
        entry: The committed load; None where nothing new was there.
        rows: Rows extracted.
        bytes: Bytes of Parquet written.
        notes: Sentences for the user: a column that appeared, a page repeated …
    """

    table: str
    entry: Entry | None
    rows: int = 0
    bytes: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReceipt:
    """What checking new rows found.

    Attributes:
        table: The table.
        report: The findings.
        quarantine: Path of the quarantine file below the lake root, if rows were set aside.
        profile: Column to figures.
        sketches: Path of the whole profile below the lake root, if one was kept.
    """

    table: str
    report: CheckReport
    quarantine: str | None = None
    profile: Mapping[str, Any] = field(default_factory=dict)
    sketches: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReceipt:
    """What loading into the warehouse did.

    Attributes:
        table: The warehouse table.
        loads: Numbers of the loads applied.
        inserted: Rows written.
        deleted: Rows taken out (replaced rows count in both).
        reconciled: ``reconciled`` where the rows were compared with those of the raw zone; empty where they were not.
        deletions: Keys that were in the table and that the source has deleted.
        notes: Sentences for the user.
    """

    table: str
    loads: tuple[int, ...]
    inserted: int
    deleted: int
    reconciled: str = ""
    deletions: int = 0
    notes: tuple[str, ...] = ()


class State(StrEnum):
    """How a step or run ended, or that it goes on."""

    RUNNING = "running"
    DONE = "done"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReceipt:
    """What one step of a run did, for people.

    Attributes:
        step: Its name: ``extract flights``, ``load raw_flights``, ``transform delays``.
        table: The table it worked on.
        interval: The interval, if it had one.
        state: How it ended.
        rows: Rows that passed.
        bytes: Bytes written.
        quarantined: Rows set aside.
        deleted: Keys that left the table, or whose history ended, because the source deleted them.
        seconds: How long it took.
        number: The entry it committed; of an unchanged transform: the version that the result equals.
        fingerprint: Of a transform: code, parameters and inputs.
        inputs: Of a transform that made no version because its rows are the same: what it was made from.
        notes: Sentences for the user.
        report: The checks, if it checked.
        reconciled: How the comparison of source, raw zone and warehouse ended, in a word: ``reconciled``; ``counted``
            where the source says nothing by itself; ``source changed``; ``differs``; empty where nothing was compared.
        change: Of an extraction: the contract in force and what the columns did.
    """

    step: str
    table: str
    state: State
    interval: Interval | None = None
    rows: int = 0
    bytes: int = 0
    quarantined: int = 0
    deleted: int = 0
    seconds: float = 0.0
    number: int | None = None
    fingerprint: str = ""
    inputs: tuple[InputVersion, ...] = ()
    notes: tuple[str, ...] = ()
    report: CheckReport | None = None
    reconciled: str = ""
    change: SchemaChange | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReceipt:
    """One run, as ``_runs/{id}.json`` of the staging lake keeps it.

    Attributes:
        id: Sortable by time, as ``2026-11-21T02-30-54.123Z-k3f9``.
        pipeline: The pipeline.
        command: ``run``, ``backfill``, ``retry``, ``ingest``.
        started: UTC.
        finished: UTC; None while it goes on.
        state: How it ended.
        steps: What its steps did, in order of their end.
        error: The sentence it failed with.
        exit_code: Of a failed run: the exit code of the error that matters most; 0: that of any failure.
    """

    id: str
    pipeline: str
    command: str
    started: datetime
    finished: datetime | None
    state: State
    steps: tuple[StepReceipt, ...] = ()
    error: str = ""
    exit_code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReceipt:
    """What the one-liner did.

    Attributes:
        table: The warehouse table.
        warehouse: The warehouse.
        lake: The raw zone; None with ``--no-raw``.
        run: The run.
        rows: Rows of the table afterwards.
    """

    table: str
    warehouse: str
    lake: str | None
    run: RunReceipt
    rows: int
