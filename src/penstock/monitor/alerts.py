"""What is wrong, found in facts that were read off versions and runs; the clock is passed in.

Every finding is a sentence for whoever is woken by it: what, of which table, since when, what is usual, what to do. It
names tables, columns, checks and moments, and never a value of a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime, timedelta

from penstock.model.alerts import AlertKind, AlertsSpec, Finding, Missed
from penstock.model.durations import show_duration
from penstock.model.receipts import RunReceipt, State
from penstock.monitor.arrivals import Arrivals, Refused
from penstock.monitor.silence import learn, thinned
from penstock.values import dataclass

_MOST_NAMED = 5
_CLASSES = {
    2: "the project says something that cannot be",
    3: "the data is not as it was to be",
    4: "something outside was not available",
    70: "that is a bug of ours",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How old the newest moment of a column may be, and who is told."""

    column: str
    within: timedelta
    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """What is known of one table.

    Attributes:
        name: As the pipeline calls it.
        arrivals: What came of it; None: nothing ever did.
        source: Whether it is read, not made.
        silent_after: How long it may bring nothing new, where that was said.
        moments: The columns that say when something happened, by which it is judged by history.
        limits: How old its newest moments may be.
        serving: The newest moments of its version in production; None where that is not there or not known.
        owners: Who is told of it, as its checks say.
    """

    name: str
    arrivals: Arrivals | None
    source: bool
    silent_after: timedelta | None = None
    moments: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()
    serving: Mapping[str, datetime] | None = None
    owners: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """How much of its log a database has with changes that were not read.

    Attributes:
        reading: What is read, as a connection and a slot.
        kept: Bytes of the log.
        limit: Bytes from which on somebody is told.
        since: When it was seen.
        keeps: After which time the database throws its log away, read or not; None: it keeps it for the reading.
        left: How long what was not read is still there; None: without end.
    """

    reading: str
    kept: int
    limit: int
    since: datetime
    keeps: timedelta | None = None
    left: timedelta | None = None

    @property
    def expires(self) -> bool:
        """Say whether more than half of the time has gone after which what was not read is thrown away."""
        return self.kept > 0 and self.keeps is not None and self.left is not None and self.left < self.keeps / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineFacts:
    """What is known of one pipeline.

    Attributes:
        name: The pipeline.
        tables: Its tables.
        ended: Its newest run that ended.
        made: Its newest run that ended and was no stream: what became of its transforms.
        newest: When its newest run began, whether it ended or not.
        killed: Runs that never ended, and whose lease nobody holds.
        releases: When its releases came, oldest first.
        missed: Runs that a schedule wanted and that did not begin.
        lags: What databases keep for its changes.
    """

    name: str
    tables: tuple[TableFacts, ...] = ()
    ended: RunReceipt | None = None
    made: RunReceipt | None = None
    newest: datetime | None = None
    killed: tuple[RunReceipt, ...] = ()
    releases: tuple[datetime, ...] = ()
    missed: tuple[Missed, ...] = field(default=())
    lags: tuple[Lag, ...] = ()


def find(facts: Sequence[PipelineFacts], spec: AlertsSpec, at: datetime) -> tuple[Finding, ...]:
    """Return everything that is wrong at a moment, one finding of each identity."""
    found = (finding for pipeline in facts for finding in _of_pipeline(pipeline, spec, at))
    first: dict[str, Finding] = {}
    for finding in found:
        first.setdefault(finding.id, finding)
    return tuple(first.values())


def _of_pipeline(pipeline: PipelineFacts, spec: AlertsSpec, at: datetime) -> Iterator[Finding]:
    yield from _failed(pipeline)
    yield from _missed(pipeline)
    yield from _turned_down(pipeline)
    for table in pipeline.tables:
        if table.arrivals is not None:
            yield from _rejected(pipeline, table, table.arrivals)
            yield from _set_aside(pipeline, table, table.arrivals, spec.quarantine)
            yield from _silent(pipeline, table, table.arrivals, spec, at)
            yield from _too_old(pipeline, table, table.arrivals.events, at, "staging")
            yield from _standing_still(pipeline, table, table.arrivals, spec, at)
        yield from _too_old(pipeline, table, table.serving or {}, at, "production")
    yield from _late_release(pipeline, spec, at)
    yield from _lagging(pipeline)


def _failed(pipeline: PipelineFacts) -> Iterator[Finding]:
    for run in pipeline.killed:
        yield Finding(
            kind=AlertKind.FAILED,
            subject=pipeline.name,
            pipeline=pipeline.name,
            since=run.started,
            said=f"The {run.command} of pipeline {pipeline.name} that began on {moment(run.started)} was killed: "
            f"it never ended, and nobody holds its lease any more (run {run.id}).",
            remedy=f"What was committed is kept: penstock run {pipeline.name}",
            cause=run.id,
        )
    ended = pipeline.ended
    if ended is not None and ended.state is State.FAILED:
        yield _ended_badly(pipeline, ended)


def _ended_badly(pipeline: PipelineFacts, run: RunReceipt) -> Finding:
    steps = [step.step for step in run.steps if step.state is State.FAILED]
    named = f" at {_listed(steps)}" if steps else ""
    why = "it was interrupted" if run.error == "interrupted" else _CLASSES.get(run.exit_code, "")
    return Finding(
        kind=AlertKind.FAILED,
        subject=pipeline.name,
        pipeline=pipeline.name,
        since=run.finished or run.started,
        said=f"The {run.command} of pipeline {pipeline.name} failed on {moment(run.finished or run.started)}{named}"
        + (f": {why}." if why else "."),
        remedy=f"See why: penstock runs --id {run.id}; then: penstock run {pipeline.name}",
        cause=run.id,
    )


def _missed(pipeline: PipelineFacts) -> Iterator[Finding]:
    for missed in pipeline.missed:
        if pipeline.newest is not None and pipeline.newest >= missed.due:
            continue
        yield Finding(
            kind=AlertKind.MISSED,
            subject=pipeline.name,
            pipeline=pipeline.name,
            since=missed.due,
            said=f"The run of pipeline {pipeline.name} that was due on {moment(missed.due)} did not begin"
            + (f": {missed.reason.rstrip('.')}." if missed.reason else "."),
            remedy=f"penstock run {pipeline.name}",
            cause=missed.due.isoformat(),
        )


def _rejected(pipeline: PipelineFacts, table: TableFacts, arrivals: Arrivals) -> Iterator[Finding]:
    if not arrivals.refused:
        return
    waiting = sorted(arrivals.refused.values(), key=lambda each: each.number)
    one = len(waiting) == 1
    numbers = _listed([str(each.number) for each in waiting])
    checks = _listed(list(dict.fromkeys(name for each in waiting for name in each.checks)))
    by = f" by {checks}" if checks else ""
    if table.source:
        name = table.name
        said = f"{'Load' if one else 'Loads'} {numbers} of {name} {'was' if one else 'were'} rejected{by}"
        said += f", and {'waits' if one else 'wait'} for a decision."
        remedy = (
            f"Mend the source, then: penstock retry {pipeline.name} --table {name}. Or: penstock accept {name} "
            f"{waiting[0].number} --reason …, penstock discard {name} {waiting[0].number} --reason …"
        )
    else:
        said = f"{'Version' if one else 'Versions'} {numbers} of {table.name} {'was' if one else 'were'} rejected{by}."
        remedy = f"Look at it: penstock report {table.name}; mend its inputs or its code, then: penstock run"
    yield Finding(
        kind=AlertKind.REJECTED,
        subject=table.name,
        pipeline=pipeline.name,
        since=min(each.at for each in waiting),
        said=said,
        remedy=remedy,
        owners=_owners(waiting),
    )


def _turned_down(pipeline: PipelineFacts) -> Iterator[Finding]:
    """Tell of results that checks rejected in the newest run: they made no version, so that no entry says so."""
    made = {table.name for table in pipeline.tables if not table.source}
    run = pipeline.made
    for step in run.steps if run is not None else ():
        if run is None or step.state is not State.REJECTED or step.table not in made:
            continue
        failures = [each for each in (step.report.failures if step.report else ()) if each.severity == "error"]
        checks = _listed(list(dict.fromkeys(each.check for each in failures)))
        by = f" by {checks}" if checks else ""
        yield Finding(
            kind=AlertKind.REJECTED,
            subject=step.table,
            pipeline=pipeline.name,
            since=run.finished or run.started,
            said=f"What run {run.id} made of {step.table} was rejected{by}; the version before it stands.",
            remedy=f"See why: penstock runs --id {run.id}; mend its inputs or its code, then: penstock run",
            owners=tuple(dict.fromkeys(each.owner for each in failures if each.owner)),
        )


def _set_aside(pipeline: PipelineFacts, table: TableFacts, arrivals: Arrivals, limit: float) -> Iterator[Finding]:
    aside = arrivals.aside
    if aside is None or not aside.rows or aside.aside / aside.rows <= limit:
        return
    by = f" by {_listed(aside.checks)}" if aside.checks else ""
    yield Finding(
        kind=AlertKind.QUARANTINE,
        subject=table.name,
        pipeline=pipeline.name,
        since=aside.at,
        said=f"Load {aside.number} of {table.name} set {aside.aside:,} of {aside.rows:,} rows aside{by}.",
        usual=f"At most {limit:.4g} of a load may be set aside.",
        remedy=f"penstock quarantine show {table.name} --load {aside.number}",
        cause=f"load {aside.number}",
        owners=aside.owners,
    )


def _silent(
    pipeline: PipelineFacts, table: TableFacts, arrivals: Arrivals, spec: AlertsSpec, at: datetime
) -> Iterator[Finding]:
    last = arrivals.last
    if not table.source or last is None:
        return
    judged = _over(arrivals.news, last, table.silent_after, spec, at)
    if judged is None:
        return
    yield Finding(
        kind=AlertKind.SILENT,
        subject=table.name,
        pipeline=pipeline.name,
        since=last,
        said=f"Source {table.name} of pipeline {pipeline.name} has brought nothing new since {moment(last)}, "
        f"for {show(at - last)}.",
        usual=judged,
        remedy=f"Ask whoever sends it, and see whether it was asked: penstock runs {pipeline.name}; "
        f"then: penstock run {pipeline.name}",
        owners=table.owners,
    )


def _over(
    moments: Sequence[datetime], last: datetime, said: timedelta | None, spec: AlertsSpec, at: datetime
) -> str | None:
    """Return what would be usual, if the wait since ``last`` is longer; a limit that was said wins."""
    if said is not None:
        return f"It may be silent for {show(said)}, as silent_after says." if at - last > said else None
    usual = learn(moments, last) if spec.learn else None
    if usual is None or at - last <= usual.limit:
        return None
    return f"Usually something new comes after {show(usual.gap)}, {usual.how}; {show(usual.limit)} is the limit."


def _standing_still(
    pipeline: PipelineFacts, table: TableFacts, arrivals: Arrivals, spec: AlertsSpec, at: datetime
) -> Iterator[Finding]:
    """Find a source whose loads go on coming, while the newest moment in them stands still."""
    last, came = arrivals.advanced, arrivals.last
    newest = max((arrivals.events[name] for name in table.moments if name in arrivals.events), default=None)
    if not table.source or last is None or came is None or came <= last or newest is None or table.limits:
        return
    judged = _over(arrivals.advances, last, None, spec, at)
    if judged is None:
        return
    yield Finding(
        kind=AlertKind.LATE,
        subject=table.name,
        pipeline=pipeline.name,
        since=last,
        said=f"The newest row of {table.name} is of {moment(newest)}, and no newer one has come since {moment(last)}, "
        f"for {show(at - last)}, though loads do.",
        usual=judged,
        remedy=f"Ask whoever sends it; penstock versions {table.name} shows the loads",
        owners=table.owners,
    )


def _too_old(
    pipeline: PipelineFacts, table: TableFacts, events: Mapping[str, datetime], at: datetime, environment: str
) -> Iterator[Finding]:
    for limit in table.limits:
        newest = events.get(limit.column)
        if newest is None or at - newest <= limit.within:
            continue
        where = " in production" if environment == "production" else ""
        mend = f"penstock run {pipeline.name}"
        if where:
            mend += f", penstock diff {pipeline.name}, then approve and promote"
        yield Finding(
            kind=AlertKind.LATE,
            subject=table.name,
            pipeline=pipeline.name,
            environment=environment,
            since=newest + limit.within,
            said=f"The newest {limit.column} of {table.name}{where} is {moment(newest)}: {show(at - newest)} old.",
            usual=f"It may be {show(limit.within)} old, as its check fresh says.",
            remedy=mend,
            owners=(limit.owner,) if limit.owner else (),
        )


def _late_release(pipeline: PipelineFacts, spec: AlertsSpec, at: datetime) -> Iterator[Finding]:
    if not pipeline.releases:
        return
    last = pipeline.releases[-1]
    judged = _over(thinned(pipeline.releases), last, None, spec, at)
    if judged is None:
        return
    yield Finding(
        kind=AlertKind.LATE,
        subject=pipeline.name,
        pipeline=pipeline.name,
        environment="production",
        since=last,
        said=f"Pipeline {pipeline.name} has brought no release to production since {moment(last)}, "
        f"for {show(at - last)}.",
        usual=judged,
        remedy=f"See what hinders it: penstock status; penstock diff {pipeline.name}",
    )


def _lagging(pipeline: PipelineFacts) -> Iterator[Finding]:
    for lag in pipeline.lags:
        if lag.kept <= lag.limit and not lag.expires:
            continue
        unread = f"changes that pipeline {pipeline.name} has not read ({lag.reading})"
        said = f"The database keeps {lag.kept:,} bytes of its log for {unread}: its disk may fill up."
        remedy = f"Read them: penstock stream {pipeline.name}; or give them up, with --forget"
        if lag.keeps is not None:
            gone = (
                ""
                if lag.left is None
                else f", of which the oldest are thrown away in {show(max(lag.left, timedelta(0)))}"
            )
            said = f"The database has {lag.kept:,} bytes of its log with {unread}{gone}."
            remedy = f"Read them: penstock stream {pipeline.name}; or let it keep its log for longer"
        yield Finding(
            kind=AlertKind.LAGGING,
            subject=lag.reading,
            pipeline=pipeline.name,
            since=lag.since,
            said=said,
            usual=f"It may be {lag.limit:,} bytes, as max_lag says"
            + (f", and read within half of {show(lag.keeps)}." if lag.keeps and lag.left is not None else "."),
            remedy=remedy,
        )


def _owners(refused: Sequence[Refused]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for each in refused for name in each.owners))


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMED])
    return shown if len(names) <= _MOST_NAMED else f"{shown} and {len(names) - _MOST_NAMED} more"


def moment(at: datetime) -> str:
    """Return a moment for people: ``Fri 2026-11-20 02:03 UTC``."""
    utc = at.astimezone(UTC)
    # Not %a, which speaks the language of the machine.
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[utc.weekday()]
    return f"{day} {utc:%Y-%m-%d %H:%M} UTC"


def show(duration: timedelta) -> str:
    """Return a duration to the minute, one of days to the hour, one of seconds to the second: ``1d3h``."""
    hour, minute, second = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
    step = hour if duration >= timedelta(days=2) else minute if duration >= 2 * minute else second
    return show_duration(round(duration / step) * step)
