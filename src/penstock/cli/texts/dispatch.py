"""From a value's class to the function that words it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from penstock.cli.blocks import Block

# Classes are named, not imported: some of them live beside heavy libraries that the command at hand does not need.
_ONE = {
    "Alert": "alerts:alert",
    "AlertsReport": "alerts:report",
    "Candidate": "releases:candidate",
    "CheckReceipt": "tables:check",
    "DatasetReceipt": "datasets:built",
    "Decision": "releases:decision",
    "DoctorReport": "places:doctor",
    "Forgotten": "places:forgotten",
    "DriftReport": "profiles:drift",
    "Entry": "tables:entry",
    "ExportReceipt": "tables:exported",
    "IngestReceipt": "runs:ingest",
    "LineageReport": "lineage:lineage",
    "LiveRollback": "releases:live_rollback",
    "Plan": "plans:plan",
    "ProfileReport": "profiles:profile",
    "ProjectStatus": "places:status",
    "QuarantineRows": "tables:quarantine_rows",
    "RebuildReceipt": "places:rebuilt",
    "Release": "releases:release",
    "ReplayPreview": "tables:preview",
    "RunReceipt": "runs:run",
    "CasesReport": "testing:report",
    "ScheduleReport": "schedules:report",
    "SuggestedChecks": "tables:suggested",
    "TemplateReceipt": "places:template",
    "TableReport": "reports:report",
    "VacuumReport": "care:vacuumed",
    "VerifyReceipt": "datasets:verified",
}
_SEVERAL = {
    "ChannelState": "alerts:channels",
    "CompactionReport": "care:compacted",
    "DoctorReport": "places:doctors",
    "Entry": "tables:entries",
    "IntervalLedger": "plans:intervals",
    "Manifest": "datasets:manifests",
    "StreamLag": "runs:lags",
    "QuarantineSummary": "tables:quarantine_list",
    "RunReceipt": "runs:runs",
    "TableDescription": "tables:descriptions",
}


def blocks_of(value: Any, *, summary: bool = False) -> list[Block]:
    """Return the text of a value, or of a sequence of values of one class."""
    several = isinstance(value, Sequence)
    name = type(value[0] if several else value).__name__
    wording = _find((_SEVERAL if several else _ONE)[name])
    return (
        list(wording(value, summary=summary))
        if name in ("Plan", "RunReceipt") and not several
        else list(wording(value))
    )


def _find(place: str) -> Callable[..., Sequence[Block]]:
    module, _, function = place.partition(":")
    found: Callable[..., Sequence[Block]] = getattr(import_module(f"penstock.cli.texts.{module}"), function)
    return found
