"""How fresh streams are, by the manifests of their newest micro-batches: a stream at work is not asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from penstock.catalog.port import LoadRecord
from penstock.model.answers import PartitionLag, StreamLag
from penstock.model.event_time import Progress, moment_at, progress
from penstock.model.specs import PipelineSpec, SourceSpec
from penstock.model.streams import TIMES, moment_of, offsets
from penstock.names import raw
from penstock.orchestrate import indexing
from penstock.orchestrate.ledger import collect_source
from penstock.orchestrate.workspace import Workspace, now

_NEWEST = 200
"""Micro-batches that are looked at."""


def lags(workspace: Workspace, specs: Sequence[PipelineSpec]) -> tuple[StreamLag, ...]:
    """Return how fresh each stream of some pipelines is."""
    streams = [source for spec in specs for source in spec.sources if source.stream is not None]
    indexing.follow(workspace, tuple(raw(source.table) for source in streams))
    return tuple(_lag(source, collect_source(source, workspace.catalog).live()[-_NEWEST:]) for source in streams)


def _lag(source: SourceSpec, records: Sequence[LoadRecord]) -> StreamLag:
    live = source.stream is not None and source.stream.live
    batches = [record for record in records if record.entry.taken is None]
    if not batches:
        return StreamLag(table=source.table, live=live, batches=0)
    last = batches[-1].entry.created_at
    gaps = [(b.entry.created_at - a.entry.created_at).total_seconds() for a, b in pairwise(batches)]
    waited = [seconds for seconds in map(_waited, batches) if seconds is not None]
    happened = [seconds for seconds in map(_since_event, batches) if seconds is not None]
    events = [found for found in map(_progress, batches) if found is not None]
    watermark = events[-1].watermark if events else None
    return StreamLag(
        table=source.table,
        live=live,
        batches=len(batches),
        last=last,
        age=(now() - last).total_seconds(),
        interval=median(gaps) if gaps else None,
        longest=max(gaps) if gaps else None,
        lag=median(waited) if waited else None,
        lag_most=max(waited) if waited else None,
        partitions=tuple(_partitions(batches)),
        watermark=moment_at(watermark) if watermark is not None else None,
        event_lag=median(happened) if happened else None,
        event_lag_most=max(happened) if happened else None,
        late=sum(each.late for each in events),
        ahead=sum(each.ahead for each in events),
        undated=sum(each.undated for each in events),
    )


def _position(record: LoadRecord) -> Mapping[str, Any]:
    work = record.entry.work
    return (work.position if work is not None else None) or {}


def _waited(record: LoadRecord) -> float | None:
    """Return the seconds from the making of the oldest message of a micro-batch to its verdict."""
    oldest = [low for each in _position(record).get(TIMES, {}).values() for low, _ in each.values()]
    if not oldest or record.verdict_entry is None:
        return None
    return (record.verdict_entry.created_at - moment_of(min(oldest))).total_seconds()


def _progress(record: LoadRecord) -> Progress | None:
    return progress(_position(record))


def _since_event(record: LoadRecord) -> float | None:
    """Return the seconds from the oldest event of a micro-batch to its verdict."""
    found = _progress(record)
    if found is None or found.oldest is None or record.verdict_entry is None:
        return None
    return (record.verdict_entry.created_at - moment_at(found.oldest)).total_seconds()


def _partitions(batches: Sequence[LoadRecord]) -> list[PartitionLag]:
    newest: dict[tuple[str, str], int] = {}
    for record in batches:
        for topic, each in _position(record).get(TIMES, {}).items():
            for partition, (_, high) in each.items():
                newest[topic, partition] = max(high, newest.get((topic, partition), high))
    events = [found for found in map(_progress, batches) if found is not None]
    late: Counter[tuple[str, str]] = Counter()
    for each in events:
        late.update(
            {(topic, name): seen.late for topic, found in each.partitions.items() for name, seen in found.items()}
        )
    greatest = {
        (topic, name): seen.greatest
        for each in events[-1:]
        for topic, found in each.partitions.items()
        for name, seen in found.items()
    }
    return [
        PartitionLag(
            topic=topic,
            partition=partition,
            following=following,
            newest=moment_of(newest[topic, partition]) if (topic, partition) in newest else None,
            event=moment_at(at) if (at := greatest.get((topic, partition))) is not None else None,
            late=late[topic, partition],
        )
        for topic, each in sorted(offsets(_position(batches[-1])).items())
        for partition, following in sorted(each.items())
    ]
