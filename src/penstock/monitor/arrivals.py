"""What came when, of one table: folded from the entries of its log, so that a look reads each entry once.

Something new is a load with rows that were not read before: an empty load, an interval that is read again, a retry and
a replay of rows that were set aside bring no news. Verdicts do not matter: what was rejected has come.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from datetime import UTC, datetime
from typing import Any

from penstock.model.entries import CheckReport, Entry, EntryKind, Verdict
from penstock.model.releases import Release
from penstock.monitor.silence import thinned
from penstock.values import dataclass

_MOST_VERSIONS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A load, or a version, that checks rejected.

    Attributes:
        number: Its number.
        at: When it was rejected.
        checks: Names of the checks that failed, with severity ``error``.
        owners: Who is told of these.
    """

    number: int
    at: datetime
    checks: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """What the newest judged load set aside.

    Attributes:
        number: The load.
        at: When it was judged.
        rows: Its rows, with the lines that are none.
        aside: How many of these were set aside.
        checks: Names of the checks that did it.
        owners: Who is told of these.
    """

    number: int
    at: datetime
    rows: int
    aside: int
    checks: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """A load that has not ended: its newest moments count once it is accepted."""

    events: Mapping[str, datetime] = field(default_factory=dict)
    misfits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """What came of one table up to an entry.

    Attributes:
        table: The lake table.
        head: The newest entry that was folded.
        watched: The columns whose newest moment is followed.
        news: When something new came, thinned.
        last: When something new came last.
        run: The run that brought it.
        reach: The end of the latest interval that was read.
        events: Watched column to the newest moment in it.
        advances: When a newest moment moved on, thinned.
        advanced: When it did last.
        refused: What waits for a decision: number of a load, or interval of a version, to what is known of it.
        aside: What the newest judged load set aside.
        landed: Loads that have not ended.
        versions: Of a transform: number to the newest moments in the table as that version left it.
    """

    table: str
    head: int = 0
    watched: tuple[str, ...] = ()
    news: tuple[datetime, ...] = ()
    last: datetime | None = None
    run: str | None = None
    reach: datetime | None = None
    events: Mapping[str, datetime] = field(default_factory=dict)
    advances: tuple[datetime, ...] = ()
    advanced: datetime | None = None
    refused: Mapping[str, Refused] = field(default_factory=dict)
    aside: SetAside | None = None
    landed: Mapping[str, Landed] = field(default_factory=dict)
    versions: Mapping[str, Mapping[str, datetime]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """What came to production up to a release.

    Attributes:
        number: The newest release that was folded.
        tables: Table to the version that production serves.
        moments: Pipeline to when its releases came, thinned; going back to an earlier one does not count.
    """

    number: int = 0
    tables: Mapping[str, int] = field(default_factory=dict)
    moments: Mapping[str, tuple[datetime, ...]] = field(default_factory=dict)


def fold_releases(known: Released, releases: Iterable[Release]) -> Released:
    """Take in the releases after the newest one that is known, oldest first."""
    for release in releases:
        moments = known.moments
        if release.rollback_to is None:
            before = moments.get(release.pipeline, ())
            moments = {**moments, release.pipeline: thinned((*before, release.created_at))}
        tables = {table.table: table.number for table in release.tables}
        known = Released(number=release.number, tables=tables, moments=moments)
    return known


def fold(known: Arrivals, entries: Iterable[Entry]) -> Arrivals:
    """Take in the entries after the head, oldest first."""
    for entry in entries:
        if entry.kind is EntryKind.LOAD:
            known = _load(known, entry)
        elif entry.kind is EntryKind.VERDICT:
            known = _verdict(known, entry)
        elif entry.kind is EntryKind.VERSION:
            known = _version(known, entry)
        known = replace(known, head=max(known.head, entry.number))
    return replace(known, news=thinned(known.news), advances=thinned(known.advances)) if known.head else known


def _load(known: Arrivals, entry: Entry) -> Arrivals:
    landed = Landed(events=_newest(entry, known.watched), misfits=entry.misfits.rows if entry.misfits else 0)
    known = replace(known, landed={**known.landed, str(entry.number): landed})
    interval = entry.work.interval if entry.work else None
    again = interval is not None and known.reach is not None and interval.end <= known.reach
    if interval is not None and not again:
        known = replace(known, reach=interval.end)
    if not entry.rows or entry.taken is not None or entry.supersedes or again:
        return known
    # What one run brings, as the intervals of a backfill, came at once.
    news = known.news if entry.run is not None and entry.run == known.run else (*known.news, entry.created_at)
    return replace(known, news=news, last=entry.created_at, run=entry.run)


def _verdict(known: Arrivals, entry: Entry) -> Arrivals:
    about = str(entry.load)
    refused = {number: each for number, each in known.refused.items() if number != about}
    if entry.verdict is Verdict.REJECTED:
        return replace(known, refused={**refused, about: _refused(entry.load or 0, entry)})
    landed = known.landed.get(about, Landed())
    known = replace(
        known, refused=refused, landed={number: each for number, each in known.landed.items() if number != about}
    )
    if entry.verdict is not Verdict.ACCEPTED:
        return known
    report = entry.report
    if report is not None:
        known = replace(known, aside=_aside(entry, report, landed.misfits))
    return _advance(known, landed.events, entry.created_at)


def _version(known: Arrivals, entry: Entry) -> Arrivals:
    place = entry.interval.label if entry.interval else ""
    refused = {name: each for name, each in known.refused.items() if name != place}
    if entry.report is not None and entry.report.rejects:
        return replace(known, refused={**refused, place: _refused(entry.number, entry)})
    if entry.interval is None:
        # A version of the whole table stands for itself, also where its newest moment is older than it was.
        known = replace(known, events={})
    known = _advance(replace(known, refused=refused), _newest(entry, known.watched), entry.created_at)
    if not known.watched:
        return known
    versions = [*known.versions.items(), (str(entry.number), dict(known.events))]
    return replace(known, versions=dict(versions[-_MOST_VERSIONS:]))


def _advance(known: Arrivals, newest: Mapping[str, datetime], at: datetime) -> Arrivals:
    later = {name: moment for name, moment in newest.items() if name not in known.events or moment > known.events[name]}
    if not later:
        return known
    events = {**known.events, **later}
    return replace(known, events=events, advances=(*known.advances, at), advanced=at)


def _refused(number: int, entry: Entry) -> Refused:
    failures = [each for each in (entry.report.failures if entry.report else ()) if each.severity == "error"]
    return Refused(
        number=number,
        at=entry.created_at,
        checks=tuple(each.check for each in failures),
        owners=_owners(each.owner for each in failures),
    )


def _aside(entry: Entry, report: CheckReport, misfits: int) -> SetAside:
    failures = [each for each in report.failures if each.severity == "quarantine"]
    return SetAside(
        number=entry.load or 0,
        at=entry.created_at,
        rows=report.rows + misfits,
        aside=report.quarantined + misfits,
        checks=tuple(each.check for each in failures),
        owners=_owners(each.owner for each in failures),
    )


def _owners(named: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in named if name))


def _newest(entry: Entry, watched: Sequence[str]) -> dict[str, datetime]:
    """Return the newest moment of each watched column; none is later than the entry, so that a mistyped year is not."""
    found: dict[str, datetime] = {}
    for name in watched:
        moments = [at for file in entry.files if (at := _moment(file.statistics.get(name))) is not None]
        if moments:
            found[name] = min(max(moments), entry.created_at)
    return found


def _moment(bounds: tuple[Any, Any, int] | None) -> datetime | None:
    greatest = bounds[1] if bounds is not None else None
    if not isinstance(greatest, str):
        return None
    try:
        found = datetime.fromisoformat(greatest.replace(" ", "T", 1))
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
