"""Events of OpenLineage (version 2-0-2 of its specification) about a run: built here, sent by ``monitor.sending``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from penstock.model.entries import Entry, EntryKind
from penstock.model.receipts import RunReceipt, State, StepReceipt
from penstock.names import RAW_PREFIX, is_internal
from penstock.values import dataclass

PRODUCER = "urn:penstock"
_SPEC = "https://openlineage.io/spec"
_EVENT = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS = {
    "schema": ("1-2-0", "SchemaDatasetFacet"),
    "columnLineage": ("1-2-0", "ColumnLineageDatasetFacet"),
    "version": ("1-0-1", "DatasetVersionDatasetFacet"),
    "dataQualityAssertions": ("1-1-0", "DataQualityAssertionsDatasetFacet"),
    "outputStatistics": ("1-0-2", "OutputStatisticsOutputDatasetFacet"),
    "sql": ("1-1-0", "SQLJobFacet"),
    "parent": ("1-2-0", "ParentRunFacet"),
    "errorMessage": ("1-0-1", "ErrorMessageRunFacet"),
    "nominalTime": ("1-0-1", "NominalTimeRunFacet"),
}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A step of a run that committed an entry.

    Attributes:
        step: The step.
        entry: The load or version.
        query: Of a SQL transform: its text.
        origins: Column of the result to the (table, column) pairs that it comes from.
    """

    step: StepReceipt
    entry: Entry
    query: str = ""
    origins: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)


def events(run: RunReceipt, told: Sequence[Told], namespace: str) -> tuple[Json, ...]:
    """Return the events of a run that has ended: its start, one for each load and version, its end.

    Values of rows never stand in them; sources are named without secrets, as in the manifests.

    Args:
        run: The run.
        told: Its steps that committed something.
        namespace: Of jobs and tables.
    """
    job: Json = {"namespace": namespace, "name": run.pipeline, "facets": {}}
    own: Json = {"runId": _id(run.id), "facets": {}}
    ended = run.finished or run.started
    failed = run.state is State.FAILED
    end = {**own, "facets": _facet("errorMessage", message=run.error, programmingLanguage="Python") if failed else {}}
    return (
        _event("START", run.started, own, job),
        *(_step(each, run, namespace) for each in told),
        _event("FAIL" if failed else "COMPLETE", ended, end, job),
    )


def _step(told: Told, run: RunReceipt, namespace: str) -> Json:
    entry, step = told.entry, told.step
    parent = _facet("parent", run={"runId": _id(run.id)}, job={"namespace": namespace, "name": run.pipeline})
    interval = step.interval
    if interval is not None:
        parent |= _facet(
            "nominalTime", nominalStartTime=interval.start.isoformat(), nominalEndTime=interval.end.isoformat()
        )
    label = interval.label if interval else ""
    job = {
        "namespace": namespace,
        "name": f"{run.pipeline}.{step.step.replace(' ', '.')}",
        "facets": _facet("sql", query=told.query, dialect="duckdb") if told.query else {},
    }
    own = {"runId": _id(f"{run.id} {step.step} {label} {entry.number}"), "facets": parent}
    inputs = [_input(version.table, version.number, namespace) for version in entry.inputs]
    if entry.kind is EntryKind.LOAD:
        read = dict.fromkeys(origin.uri for origin in entry.origins)
        inputs = [{"namespace": namespace, "name": uri, "facets": {}} for uri in read]
    event = _event("COMPLETE", entry.created_at, own, job)
    return event | {"inputs": _distinct(inputs), "outputs": [_output(told, namespace)]}


def _distinct(inputs: Sequence[Json]) -> list[Json]:
    """Return one input of each name: of many loads of a table, the newest."""
    return list({each["name"]: each for each in inputs}.values())


def _input(table: str, number: int, namespace: str) -> Json:
    return {"namespace": namespace, "name": table, "facets": _facet("version", datasetVersion=str(number))}


def _output(told: Told, namespace: str) -> Json:
    entry = told.entry
    columns = [column for column in entry.schema if not is_internal(column.name)]
    facets = _facet("schema", fields=[{"name": column.name, "type": column.type} for column in columns])
    facets |= _facet("version", datasetVersion=str(entry.number))
    if told.origins:
        inputs = {version.table.removeprefix(RAW_PREFIX): version.table for version in entry.inputs}
        facets |= _facet(
            "columnLineage",
            fields={
                column: {
                    "inputFields": [
                        {"namespace": namespace, "name": inputs.get(table, table), "field": name}
                        for table, name in pairs
                    ]
                }
                for column, pairs in told.origins.items()
                if pairs
            },
        )
    report = told.step.report
    if report is not None and (report.passed or report.failures):
        held: list[Json] = [{"assertion": name, "success": True} for name in report.passed]
        failed: list[Json] = [
            {"assertion": failure.check, "success": False, "severity": failure.severity} for failure in report.failures
        ]
        facets |= _facet("dataQualityAssertions", assertions=held + failed)
    size = sum(file.bytes for file in entry.files)
    rows = sum(file.rows for file in entry.files)
    counted = _facet("outputStatistics", rowCount=rows, size=size, fileCount=len(entry.files))
    return {"namespace": namespace, "name": entry.table, "facets": facets, "outputFacets": counted}


def _event(kind: str, at: datetime, run: Json, job: Json) -> Json:
    return {
        "eventType": kind,
        "eventTime": at.isoformat(),
        "producer": PRODUCER,
        "schemaURL": _EVENT,
        "run": run,
        "job": job,
        "inputs": [],
        "outputs": [],
    }


def _facet(name: str, **fields: Any) -> Json:
    version, kind = _FACETS[name]
    where = f"{_SPEC}/facets/{version}/{kind}.json#/$defs/{kind}"
    return {name: {"_producer": PRODUCER, "_schemaURL": where, **fields}}


def _id(text: str) -> str:
    """Return the UUID that a run or a step of it has; the same each time, so that an event sent twice is one."""
    return str(uuid5(NAMESPACE_URL, f"{PRODUCER}/{text}"))
