"""Profiles that loads and versions keep, shown and compared with those before; read anew only where none is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from penstock.errors import ConfigurationError, NotFoundError
from penstock.model.answers import ColumnFigures, ProfileReport
from penstock.model.entries import Entry
from penstock.model.interval import Interval
from penstock.model.specs import PipelineSpec
from penstock.monitor.drift import DriftReport, Limits, compare
from penstock.orchestrate import indexing
from penstock.orchestrate.ledger import Ledger
from penstock.orchestrate.standing import accepted_rows, known
from penstock.orchestrate.workspace import Workspace
from penstock.profiles.kinds import kind
from penstock.profiles.profile import ColumnProfile, TableProfile, merged
from penstock.validate.measuring import profiled
from penstock.validate.rows import opened

MOST_BEFORE = 30
"""So many loads or versions before the newest are what it is compared with."""
_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
_BARS = 20
_TOP = 5


@dataclass(frozen=True, slots=True)
class _Kept:
    """A load or version that keeps a profile."""

    number: int
    at: datetime
    interval: Interval | None
    path: str

    def __str__(self) -> str:
        return f"{self.number} ({self.interval.label})" if self.interval else str(self.number)


def profile(workspace: Workspace, spec: PipelineSpec, table: str) -> ProfileReport:
    """Return the profile of a table's rows as they stand: merged from those kept, or, where some lack one, read now."""
    name, ledger = known(workspace, spec, table)
    kept, missing = _kept(ledger, name)
    if kept and not missing:
        found = merged(_read(workspace, one) for one in kept)
        return _report(name, found, f"merged from {len(kept)} kept profiles")
    return _report(name, _sketched(workspace, ledger, name), "read from the lake now")


def drift(workspace: Workspace, spec: PipelineSpec, table: str, against: str | None, limits: Limits) -> DriftReport:
    """Compare the newest load or version of a table with those before it.

    Args:
        workspace: The places.
        spec: The pipeline that makes the table.
        table: The table.
        against: ``before`` (the default: up to 30 before it), ``weekday`` (those of the same weekday), ``release``
            (what production holds), or the number of a load or version.
        limits: From when on a difference counts.

    Raises:
        NotFoundError: There is nothing to compare, or nothing to compare with.
    """
    name, ledger = known(workspace, spec, table)
    kept, _ = _kept(ledger, name)
    if not kept:
        raise NotFoundError(
            f"No load or version of {name} keeps a profile",
            remedy=f'Add profiled=["{name}"] to the pipeline {spec.name!r}; new loads and versions then keep one',
        )
    newest = kept[-1]
    chosen = _chosen(workspace, name, kept, against or "before")
    reference = merged(_read(workspace, one) for one in chosen)
    words = f"{name} {chosen[0]}" if len(chosen) == 1 else f"{len(chosen)} of {name}, {chosen[0]} to {chosen[-1]}"
    return compare(reference, _read(workspace, newest), limits, table=name, names=(words, f"{name} {newest}"))


def _kept(ledger: Ledger, name: str) -> tuple[list[_Kept], int]:
    """Return the standing loads or versions that keep a profile, oldest first, and how many keep none."""
    standing: list[tuple[Entry, Interval | None, Entry]] = []
    if name in ledger.sources:
        for record in ledger.sources[name].live():
            interval = record.entry.work.interval if record.entry.work else None
            standing.append((record.entry, interval, record.verdict_entry or record.entry))
    else:
        newest = ledger.versions[name].newest
        standing = [(entry, interval, entry) for interval, entry in newest.items()]
    found = [
        _Kept(entry.number, entry.created_at, interval, holder.sketches)
        for entry, interval, holder in standing
        if holder.sketches is not None
    ]
    ordered = sorted(found, key=lambda one: (one.interval.start if one.interval else one.at, one.number))
    return ordered, len(standing) - len(found)


def _chosen(workspace: Workspace, name: str, kept: Sequence[_Kept], against: str) -> Sequence[_Kept]:
    newest, before = kept[-1], kept[:-1]
    match against:
        case "before":
            chosen = list(before[-MOST_BEFORE:])
        case "weekday":
            day = _day(newest)
            chosen = [one for one in before if _day(one) == day][-MOST_BEFORE:]
        case "release":
            chosen = _released(workspace, name, kept)
        case number if number.isdecimal():
            chosen = [one for one in kept if one.number == int(number)]
        case _:
            raise ConfigurationError(
                f"{name} cannot be compared with that", value=against, valid="before, weekday, release, or a number"
            )
    if not chosen:
        raise NotFoundError(
            f"There is no profile of {name} to compare with ({against})",
            valid=[str(one.number) for one in before[-5:]] or "this is the first one",
        )
    return chosen


def _released(workspace: Workspace, name: str, kept: Sequence[_Kept]) -> list[_Kept]:
    indexing.follow_releases(workspace)
    releases = workspace.catalog.releases()
    held = [table.number for table in releases[0].tables if table.table == name] if releases else []
    return [one for one in kept if held and one.number <= held[0]]


def _day(one: _Kept) -> int:
    return (one.interval.start if one.interval else one.at).weekday()


def _read(workspace: Workspace, one: _Kept) -> TableProfile:
    return TableProfile.decode(workspace.lake.objects.get(one.path), where=one.path)


def _sketched(workspace: Workspace, ledger: Ledger, name: str) -> TableProfile:
    relation, columns = accepted_rows(workspace, ledger, name)
    with workspace.engine.session() as connection:
        rows = opened(connection, name, relation, columns, (), ())
        personal = [column.name for column in columns if column.personal]
        return profiled(rows, personal)


def _report(name: str, found: TableProfile, origin: str) -> ProfileReport:
    columns = tuple(_figures(column, profile) for column, profile in found.columns.items())
    return ProfileReport(table=name, rows=found.rows, origin=origin, columns=columns)


def _figures(name: str, column: ColumnProfile) -> ColumnFigures:
    moments, shape = column.moments, column.histogram
    bars: tuple[float, ...] = ()
    if shape is not None and shape.total and moments is not None and moments.least < moments.greatest:
        width = (moments.greatest - moments.least) / _BARS
        bars = tuple(shape.onto([moments.least + width * bar for bar in range(1, _BARS)]))
    top = list(column.frequent.counts.items())[:_TOP] if column.frequent else []
    return ColumnFigures(
        column=name,
        type=column.type,
        kind=kind(name, column),
        nulls=column.nulls,
        null_share=column.null_share,
        distinct=column.distinct.estimate() if column.distinct else None,
        least=moments.least if moments else None,
        greatest=moments.greatest if moments else None,
        mean=moments.mean if moments else None,
        deviation=moments.deviation if moments else None,
        quantiles={f"{share:g}": shape.quantile(share) for share in _SHARES} if shape and shape.total else {},
        top=dict(top),
        histogram=bars,
    )
