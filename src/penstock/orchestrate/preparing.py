"""Preparing: a pipeline with all that planning needs, read from the catalog and the lake."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from statistics import median

from penstock.model.graph import graph, made_by, read_by, upstream
from penstock.model.interval import Interval
from penstock.model.queries import ParsedQuery
from penstock.model.receipts import State
from penstock.model.specs import PipelineSpec, SourceSpec, TransformSpec
from penstock.names import unknown
from penstock.orchestrate import code, indexing
from penstock.orchestrate.ledger import Ledger, collect
from penstock.orchestrate.parsing import parsed
from penstock.orchestrate.planner import Usual, Wanted
from penstock.orchestrate.scopes import intervals, scope_of
from penstock.orchestrate.workspace import Workspace
from penstock.transform.fingerprints import code_fingerprint, code_text, function_fingerprint
from penstock.values import dataclass

_LOOKED_AT = 5
"""Earlier runs by which rows and times are estimated."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A pipeline with all that planning needs.

    Attributes:
        spec: The pipeline; its transforms name what they read.
        order: Its transforms, each after those it reads.
        codes: Transform to the fingerprint of its code.
        ledger: What is known of its tables.
    """

    spec: PipelineSpec
    order: Sequence[TransformSpec]
    codes: Mapping[str, str]
    ledger: Ledger

    @property
    def early(self) -> frozenset[str]:
        """Return the transforms of whole tables that one by interval needs; the others wait for the last interval."""
        needed: set[str] = set()
        for transform in self.order:
            if transform.interval is not None:
                needed |= upstream(transform.table, self.order)
        return frozenset(needed)

    @property
    def referred(self) -> frozenset[str]:
        """Return the tables that checks of raw rows refer to."""
        found = set()
        for source in self.spec.sources:
            for check in self.spec.checks.get(source.table, ()):
                for value in check.parameters.values():
                    if check.kind == "references" and isinstance(value, str):
                        found.add(value.partition(".")[0])
        return frozenset(found)


def prepare(workspace: Workspace, spec: PipelineSpec, refresh: frozenset[str] = frozenset()) -> Prepared:
    """Read what is known of a pipeline, once.

    Args:
        workspace: The places.
        spec: The pipeline.
        refresh: Transforms that are to be computed anew, whole.

    Raises:
        ConfigurationError: A query cannot be read, tables need each other, or there is no such transform.
    """
    indexing.follow(workspace, indexing.tables_of(spec))
    made, queries = made_by(spec), parsed(spec.name, spec.transforms, workspace.catalog)
    told = [with_inputs(transform, made, spec.sources, queries.get(transform.table)) for transform in spec.transforms]
    codes = {item.table: code_fingerprint(item, queries.get(item.table)) for item in spec.transforms}
    ordered = graph(told, [source.table for source in spec.sources])
    settled = replace(spec, transforms=ordered)
    ledger = collect(settled, workspace.catalog)
    for name in refresh:
        if name not in codes:
            raise unknown("transform", name, codes, where=f"pipeline {spec.name!r}")
    return Prepared(settled, ordered, codes, ledger)


def wanted(
    workspace: Workspace,
    prepared: Prepared,
    at: datetime,
    interval: Interval | None,
    again: bool,
    refresh: frozenset[str],
) -> Wanted:
    """Return what planning is asked for: with the code that changed, and what steps usually take."""
    for transform in prepared.order:
        if transform.table in refresh:
            # What is older than the time that is asked for is as stale as the rest of a table that is made anew.
            covered = intervals(prepared.spec, None, at) if transform.interval else ()
            prepared.ledger.versions[transform.table].again = set(scope_of(transform, covered))
    return Wanted(
        interval=interval,
        at=at,
        codes=prepared.codes,
        functions=_functions(prepared.spec),
        again=again,
        refresh=refresh,
        texts=_texts(workspace, prepared),
        usual=_usual(workspace, prepared.spec.name),
    )


def _functions(spec: PipelineSpec) -> tuple[str, ...]:
    """Return the fingerprints of the functions that sources and checks call; what they read is not known before."""
    called = [source.data for source in spec.sources]
    called += [check.function for table in sorted(spec.checks) for check in spec.checks[table]]
    return tuple(function_fingerprint(function) for function in called if callable(function))


def _texts(workspace: Workspace, prepared: Prepared) -> dict[str, str]:
    """Return the code of transforms that has changed since their versions were made: as it was, and as it is."""
    found: dict[str, str] = {}
    for transform in prepared.order:
        now, known = prepared.codes[transform.table], prepared.ledger.versions[transform.table]
        before = {known.fingerprint(interval).partition(".")[0] for interval in known.newest} - {now, ""}
        if before:
            found[now] = code_text(transform)
            found |= {mark: text for mark in before if (text := code.text(workspace.lake.objects, mark)) is not None}
    return found


def _usual(workspace: Workspace, pipeline: str) -> dict[str, Usual]:
    """Return what steps brought and took in earlier runs: the median of each."""
    rows: dict[str, list[int]] = {}
    seconds: dict[str, list[float]] = {}
    for run in workspace.catalog.runs(pipeline, _LOOKED_AT):
        for step in run.steps:
            if step.state is State.DONE:
                rows.setdefault(step.step, []).append(step.rows)
                seconds.setdefault(step.step, []).append(step.seconds)
    return {step: Usual(int(median(rows[step])), median(seconds[step])) for step in rows}


def with_inputs(
    transform: TransformSpec, made: Collection[str], sources: Sequence[SourceSpec], query: ParsedQuery | None
) -> TransformSpec:
    """Take the edges of its query, if it is one: bare table names; a child table counts as its source."""
    read = transform.inputs if query is None else query.tables
    return read_by(transform, read, made, sources)
