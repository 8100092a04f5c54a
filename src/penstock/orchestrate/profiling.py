"""Profiles that loads and versions keep, shown and compared with those before; read anew only where none is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from penstock import names
from penstock.catalog.port import LoadRecord
from penstock.errors import ConfigurationError, NotFoundError
from penstock.model.answers import ColumnFigures, ProfileReport
from penstock.model.entries import Entry, EntryKind, Verdict
from penstock.model.interval import Interval
from penstock.model.specs import PipelineSpec, WriteMode
from penstock.monitor.classifying import MOST_ROWS, classify
from penstock.monitor.drift import DriftReport, Limits, compare, schema_changes
from penstock.monitor.usual import unusual
from penstock.names import unknown
from penstock.orchestrate import datasets, indexing
from penstock.orchestrate.ledger import Ledger
from penstock.orchestrate.sketches import read_sketch, released
from penstock.orchestrate.standing import accepted_rows, known, rows_of
from penstock.orchestrate.workspace import Workspace
from penstock.profiles.kinds import kind
from penstock.profiles.profile import ColumnProfile, TableProfile, merged
from penstock.profiles.ranges import FEWEST
from penstock.queries import relations
from penstock.queries.text import identifier
from penstock.validate.measuring import profiled
from penstock.validate.rows import opened
from penstock.values import dataclass

if TYPE_CHECKING:
    import pyarrow as pa

MOST_USUAL = 60
"""So many loads or versions before the newest say what is usual."""
MOST_BEFORE = 30
"""So many loads or versions before the newest are what it is compared with."""
_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
_BARS = 20
_TOP = 5


@dataclass(frozen=True, slots=True)
class _Kept:
    """A load or version that keeps a profile; of those with one ``part`` each replaces the one before it."""

    number: int
    at: datetime
    interval: Interval | None
    path: str
    part: Interval | int | None

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


def drift(
    workspace: Workspace,
    spec: PipelineSpec,
    table: str,
    against: str | None,
    limits: Limits,
    *,
    classifier: bool = False,
) -> DriftReport:
    """Compare the newest load or version of a table with those before it.

    Args:
        workspace: The places.
        spec: The pipeline that makes the table.
        table: The table.
        against: ``before`` (the default: up to 30 before it), ``usual`` (each figure's range in up to 60 before it),
            ``weekday`` (those of the same weekday), ``release`` (what production holds), ``dataset:NAME`` (what the
            newest training set of that name was built from), or the number of a load or version.
        limits: From when on a difference counts.
        classifier: Whether a classifier is to tell the rows apart as well; it reads some of them.

    Raises:
        NotFoundError: There is nothing to compare, or nothing to compare with.
    """
    name, ledger = known(workspace, spec, table)
    history = _history(workspace, ledger, name)
    kept = _standing(history)
    if not kept:
        raise NotFoundError(
            f"No load or version of {name} keeps a profile",
            remedy=f'Add profiled=["{name}"] to the pipeline {spec.name!r}; new loads and versions then keep one',
        )
    newest = kept[-1]
    chosen = _chosen(workspace, name, history, against or "before")
    if against == "usual":
        return _usual(workspace, name, chosen, newest)
    reference = merged(_read(workspace, one) for one in chosen)
    words = f"{name} {chosen[0]}" if len(chosen) == 1 else f"{len(chosen)} of {name}, {chosen[0]} to {chosen[-1]}"
    report = compare(reference, _read(workspace, newest), limits, table=name, names=(words, f"{name} {newest}"))
    if not classifier:
        return report
    shown = [each.column for each in report.columns if not reference.columns[each.column].personal]
    samples = [_sample(workspace, ledger, name, which, shown) for which in (chosen, [newest])]
    return replace(report, together=classify(*samples, chance=limits.chance))


def _sample(
    workspace: Workspace, ledger: Ledger, name: str, chosen: Sequence[_Kept], columns: Sequence[str]
) -> pa.Table:
    """Return some rows of loads or versions, drawn evenly."""
    lake, source = workspace.lake, ledger.sources.get(name)
    table, wanted = lake.table(name if source is None else names.raw(name)), {one.number for one in chosen}
    if source is None:
        entries = [entry for entry in workspace.catalog.entries(name, EntryKind.VERSION) if entry.number in wanted]
        sets = [table.reading(entry.files) for entry in entries]
    else:
        sets = rows_of((record for record in source.records if record.entry.number in wanted), lake)
    listed = ", ".join(identifier(column) for column in columns)
    with workspace.engine.session() as connection:
        query = f"SELECT {listed or '1'} FROM {relations.accepted(sets)} USING SAMPLE reservoir({MOST_ROWS} ROWS)"
        return connection.sql(f"{query} REPEATABLE (1)").to_arrow_table()


def _usual(workspace: Workspace, name: str, before: Sequence[_Kept], newest: _Kept) -> DriftReport:
    """Compare each figure of the newest with its own range in those before."""
    if len(before) < FEWEST:
        raise NotFoundError(
            f"{name} has {len(before)} profiles before the newest: too few to say what is usual",
            valid=f"{FEWEST} or more",
            remedy="Compare with --against before",
        )
    past, now = [_read(workspace, one) for one in before], _read(workspace, newest)
    found = unusual(past, now)
    return DriftReport(
        table=name,
        reference=f"what is usual in {len(before)} of {name}, {before[0]} to {before[-1]}",
        current=f"{name} {newest}",
        rows=(sum(one.rows for one in past) // len(past), now.rows),
        schema=tuple(schema_changes(past[-1], now)),
        unusual=tuple(f"{one.column}: {one.said}" if one.column else one.said for one in found),
    )


def _kept(ledger: Ledger, name: str) -> tuple[list[_Kept], int]:
    """Return the standing loads or versions that keep a profile, oldest first, and how many keep none."""
    if name in ledger.sources:
        listed = [_of_load(record, whole=False) for record in ledger.sources[name].live()]
    else:
        listed = [_of_version(entry) for entry in ledger.versions[name].newest.values()]
    found = [one for one in listed if one is not None]
    return sorted(found, key=_order), len(listed) - len(found)


def _history(workspace: Workspace, ledger: Ledger, name: str) -> list[_Kept]:
    """Return what keeps a profile, oldest first, also what was replaced since."""
    source = ledger.sources.get(name)
    if source is None:
        listed = [_of_version(entry) for entry in workspace.catalog.entries(name, EntryKind.VERSION)]
    elif source.write is WriteMode.REPLACE:
        accepted = [record for record in source.records if record.verdict is Verdict.ACCEPTED]
        listed = [_of_load(record, whole=record.entry.taken is None) for record in accepted]
    else:
        listed = [_of_load(record, whole=False) for record in source.live()]
    return sorted((one for one in listed if one is not None), key=_order)


def _of_load(record: LoadRecord, *, whole: bool) -> _Kept | None:
    entry, holder = record.entry, record.verdict_entry or record.entry
    interval = entry.span
    if holder.sketches is None:
        return None
    return _Kept(entry.number, entry.created_at, interval, holder.sketches, None if whole else entry.number)


def _of_version(entry: Entry) -> _Kept | None:
    if entry.sketches is None:
        return None
    return _Kept(entry.number, entry.created_at, entry.interval, entry.sketches, entry.interval)


def _order(one: _Kept) -> tuple[datetime, int]:
    return (one.interval.start if one.interval else one.at, one.number)


def _standing(history: Sequence[_Kept], upto: int | None = None) -> list[_Kept]:
    """Return what stood when the load or version ``upto`` was the newest; None: now."""
    known = sorted((one for one in history if upto is None or one.number <= upto), key=lambda one: one.number)
    return sorted({one.part: one for one in known}.values(), key=_order)


def _chosen(workspace: Workspace, name: str, history: Sequence[_Kept], against: str) -> Sequence[_Kept]:
    newest = _standing(history)[-1]
    # Each version of a whole table is compared with those before it, which it replaced.
    parts = history if newest.part is None else _standing(history)
    before = [one for one in parts if one is not newest]
    match against.partition(":"):
        case "before", "", "":
            chosen = before[-MOST_BEFORE:]
        case "usual", "", "":
            chosen = before[-MOST_USUAL:]
        case "weekday", "", "":
            chosen = [one for one in before if _day(one) == _day(newest)][-MOST_BEFORE:]
        case "release", "", "":
            chosen = _released(workspace, name, history)
        case "dataset", ":", dataset if dataset:
            chosen = _standing(history, _pinned(workspace, name, dataset))
        case number, "", "" if number.isdecimal():
            chosen = [one for one in history if one.number == int(number)]
        case _:
            raise ConfigurationError(
                f"{name} cannot be compared with that",
                value=against,
                valid="before, usual, weekday, release, dataset:NAME, or a number",
            )
    if not chosen:
        raise NotFoundError(
            f"There is no profile of {name} to compare with ({against})",
            valid=[str(one.number) for one in before[-5:]] or "this is the first one",
        )
    return chosen


def _released(workspace: Workspace, name: str, history: Sequence[_Kept]) -> list[_Kept]:
    indexing.follow_releases(workspace)
    held = released(workspace.catalog, name)
    return [] if held is None else _standing(history, held)


def _pinned(workspace: Workspace, name: str, dataset: str) -> int:
    """Return the version of a table that the newest training set of a name was built from."""
    built = datasets.listed(workspace, dataset)
    if not built:
        listed = {manifest.name for manifest in datasets.listed(workspace)}
        raise unknown("training set", dataset, listed, where=str(workspace.datasets))
    if name not in built[0].versions:
        raise unknown("table", name, built[0].versions, where=f"training set {dataset!r} {built[0].version}")
    return built[0].versions[name]


def _day(one: _Kept) -> int:
    return (one.interval.start if one.interval else one.at).weekday()


def _read(workspace: Workspace, one: _Kept) -> TableProfile:
    return read_sketch(workspace.lake.objects, one.path)


def _sketched(workspace: Workspace, ledger: Ledger, name: str) -> TableProfile:
    relation, columns = accepted_rows(workspace, ledger, name)
    with workspace.engine.session() as connection:
        rows = opened(connection, name, relation, columns, (), ())
        personal = [column.name for column in columns if column.personal]
        judge = workspace.judge_of(name) if name in ledger.sources else None
        if judge is None:
            return profiled(rows, personal)
        with judge.asked(connection) as asked:
            return profiled(rows, personal, asked)


def report_of(workspace: Workspace, name: str, path: str, origin: str) -> ProfileReport:
    """Return one kept profile for people.

    Args:
        workspace: The places.
        name: The table.
        path: Where it is kept, below the lake root.
        origin: What it is of, in words.
    """
    return _report(name, read_sketch(workspace.lake.objects, path), origin)


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
