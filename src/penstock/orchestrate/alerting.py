"""Alerts: a look at how things stand, what it changes, and telling whoever wants to know.

A look (1) gathers facts, (2) finds what is wrong, (3) opens, keeps and resolves alerts in one transaction of the
catalog, which also says what is to be told where, (4) claims what is due of each channel, sends it as one message, and
notes that. Looks at the same time open an alert once, and send it once. Whoever is killed between sending and noting
has it sent again once the claim has run out: a message may come twice then, and never less than once.

``look`` is what a scheduler calls each minute, what a run does at its end, and what ``penstock alerts check`` does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from penstock import names
from penstock.errors import ConfigurationError, NotFoundError, PenstockError
from penstock.model.alerts import (
    Alert,
    AlertEvent,
    AlertKind,
    AlertsReport,
    ChannelSpec,
    ChannelState,
    Finding,
    Message,
    Missed,
)
from penstock.model.durations import parse_duration
from penstock.model.events import Waiting
from penstock.model.receipts import RunReceipt
from penstock.model.specs import PipelineSpec
from penstock.monitor import notifying
from penstock.monitor.alerts import PipelineFacts, find
from penstock.monitor.posting import within
from penstock.monitor.reconciling import reconcile
from penstock.names import unknown
from penstock.orchestrate import indexing, lagging
from penstock.orchestrate.alert_facts import Seen, gather
from penstock.orchestrate.workspace import Workspace, now, user

CLAIM_SECONDS = 120.0
"""After this time messages that somebody claimed and did not note as sent are due again."""
RETRY = timedelta(minutes=1)
"""What could not be sent is tried again by the first look after this time."""
_MOST_RESOLVED = 10
_MOST_DOUBTED = 100
"""Tables of which the lake is asked; where more are silent at once, the catalog is believed."""
_PATIENT = 45.0
"""Seconds that a command waits whose only work is to look."""


def look(
    workspace: Workspace,
    specs: Sequence[PipelineSpec],
    at: datetime | None = None,
    *,
    missed: Sequence[Missed] | None = None,
    wait: float | None = None,
) -> AlertsReport:
    """Look at pipelines now, open and resolve alerts, and send what is due.

    Args:
        workspace: The places.
        specs: The pipelines that are looked at; alerts of others stay as they are.
        at: The moment; None: now.
        missed: Runs that a schedule wanted and that did not begin; None: not known, and what was told before counts
            until a run of its pipeline begins.
        wait: Seconds to wait for messages to be sent; None: as the project says. They go on in threads that nobody
            waits for.

    Returns:
        How alerts stand, and what did not go out.
    """
    return _look(workspace, specs, at or now(), Seen(missed=_missed(workspace, missed)), wait)


def _look(
    workspace: Workspace, specs: Sequence[PipelineSpec], at: datetime, seen: Seen, wait: float | None
) -> AlertsReport:
    book, spec = workspace.catalog.alerts, workspace.alerts
    found = _found(workspace, specs, at, seen)
    book.settle([each.name for each in specs], at, lambda known, told: reconcile(known, told, found, spec, at))
    sent = _send(workspace, at, spec.wait if wait is None else wait)
    return report(workspace, at, sent)


def _found(workspace: Workspace, specs: Sequence[PipelineSpec], at: datetime, seen: Seen) -> tuple[Finding, ...]:
    """Return what is wrong; before something is said to be silent or late, the lake itself is asked."""
    lags = lagging.lags(workspace, specs, at)

    def facts() -> tuple[PipelineFacts, ...]:
        gathered = gather(workspace, specs, seen)
        return tuple(replace(each, lags=lags[each.name]) if each.name in lags else each for each in gathered)

    found = find(facts(), workspace.alerts, at)
    doubted = {each.subject for each in found if each.kind in (AlertKind.SILENT, AlertKind.LATE)}
    doubted -= {alert.finding.subject for alert in workspace.catalog.alerts.alerts() if alert.resolved is None}
    if not doubted:
        return found
    tables = [
        name for spec in specs for name in indexing.tables_of(spec) if name.removeprefix(names.RAW_PREFIX) in doubted
    ]
    with suppress(PenstockError):
        # A lake that cannot be reached, or is another one, is told by runs.
        indexing.follow(workspace, tables[:_MOST_DOUBTED])
        indexing.follow_releases(workspace)
    return find(facts(), workspace.alerts, at)


def _missed(workspace: Workspace, given: Sequence[Missed] | None) -> tuple[Missed, ...]:
    if given is not None:
        return tuple(given)
    return tuple(
        Missed(pipeline=alert.finding.pipeline, due=alert.finding.since)
        for alert in workspace.catalog.alerts.alerts()
        if alert.resolved is None and alert.finding.kind is AlertKind.MISSED
    )


def after_run(workspace: Workspace, spec: PipelineSpec, run: RunReceipt) -> None:
    """Look at the pipeline of a run that has ended; what hinders that is said, and hinders nothing.

    Nothing is done where nobody is to be told and nothing is open.
    """
    try:
        if not workspace.alerts.channels and not _open(workspace.catalog.alerts.alerts()):
            return
        seen = Seen(run=run, missed=_missed(workspace, None))
        found = _look(workspace, [spec], max(now(), run.finished or run.started), seen, None)
    except PenstockError as error:
        workspace.observer(Waiting(sentence=f"Alerts were not looked at: {error.sentence()}"))
    except Exception as error:
        workspace.observer(Waiting(sentence=f"Alerts were not looked at: {type(error).__name__}"))
    else:
        for channel in found.channels:
            if channel.problem:
                workspace.observer(Waiting(sentence=f"Channel {channel.name}: {channel.problem}"))


def report(workspace: Workspace, at: datetime | None = None, sent: Mapping[str, int] | None = None) -> AlertsReport:
    """Return how alerts stand, as the last look left them."""
    book = workspace.catalog.alerts
    alerts, at = book.alerts(), at or now()
    ended = sorted((alert for alert in alerts if alert.resolved), key=lambda alert: alert.resolved or at, reverse=True)
    return AlertsReport(
        open=_open(alerts),
        resolved=tuple(ended[:_MOST_RESOLVED]),
        channels=_channels(workspace, sent or {}),
        looked=book.looked(),
        at=at,
    )


def _open(alerts: Sequence[Alert]) -> tuple[Alert, ...]:
    return tuple(alert for alert in alerts if alert.resolved is None)


def _channels(workspace: Workspace, sent: Mapping[str, int]) -> tuple[ChannelState, ...]:
    said = [each for each in workspace.catalog.alerts.messages() if each.due is not None]
    states = []
    for channel in workspace.alerts.channels:
        mine = [each for each in said if each.channel == channel.name]
        problem = next((each.problem for each in mine if each.problem), "")
        states.append(
            ChannelState(
                name=channel.name,
                to=notifying.shown(channel),
                unsent=len(mine),
                problem=problem,
                sent=sent.get(channel.name, 0),
            )
        )
    return tuple(states)


def _send(workspace: Workspace, at: datetime, wait: float) -> dict[str, int]:
    """Send what is due, each channel in a thread of its own; returns how many messages went out in time."""
    channels, book = workspace.alerts.channels, workspace.catalog.alerts
    book.forget_channels(channel.name for channel in channels)
    due = {each.channel for each in book.messages() if each.due is not None and each.due <= at}
    sent: dict[str, int] = {}
    threads = [
        threading.Thread(target=_deliver, args=(workspace, channel, at, sent), name="alerts", daemon=True)
        for channel in channels
        if channel.name in due
    ]
    for thread in threads:
        thread.start()
    ends = time.monotonic() + wait
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))
    return dict(sent)


def _deliver(workspace: Workspace, channel: ChannelSpec, at: datetime, sent: dict[str, int]) -> None:
    book = workspace.catalog.alerts
    # A catalog that is closed or down leaves messages due; the next look sends them.
    with suppress(Exception):
        while (claim := book.claim(channel.name, at, CLAIM_SECONDS)) is not None:
            problem = notifying.send(channel, workspace.name, claim.messages, at)
            book.finish(claim, at, problem, at + RETRY)
            if problem:
                return
            sent[channel.name] = sent.get(channel.name, 0) + 1


def waiting(workspace: Workspace) -> list[str]:
    """Return sentences about alerts that are open and messages that did not go out, each with the command."""
    found = report(workspace)
    said = [f"alert {alert.id} is open: {alert.finding.said} penstock alerts" for alert in found.loud]
    said += [
        f"{channel.unsent} messages of alerts did not go out by {channel.name} ({channel.problem}): "
        f"penstock alerts test {channel.name}"
        for channel in found.channels
        if channel.problem
    ]
    return said


def check(
    workspace: Workspace,
    specs: Sequence[PipelineSpec],
    at: datetime | None = None,
    missed: Sequence[Missed] | None = None,
) -> AlertsReport:
    """Look at all pipelines of a project now, and wait longer for messages than a run does; as ``look``.

    Alerts of pipelines that are declared no more are resolved.
    """
    at, spec, book = at or now(), workspace.alerts, workspace.catalog.alerts
    gone = {alert.finding.pipeline for alert in _open(book.alerts())} - {each.name for each in specs}
    if gone:
        book.settle(sorted(gone), at, lambda known, told: reconcile(known, told, (), spec, at))
    return look(workspace, specs, at, missed=missed, wait=max(_PATIENT, spec.wait))


def try_channels(workspace: Workspace, channel: str | None = None) -> tuple[ChannelState, ...]:
    """Send a test message to one channel, or to all.

    Raises:
        ConfigurationError: There is no such channel, or none at all.
    """
    channels = workspace.alerts.channels
    if not channels:
        raise ConfigurationError(
            "The project has no channel for alerts",
            valid="[alerts.channels.NAME] in penstock.toml with url, webhook or folder",
        )
    known = [each.name for each in channels]
    if channel is not None and channel not in known:
        raise unknown("channel", channel, known, where="[alerts.channels]")
    return tuple(_try(workspace.name, each) for each in channels if channel in (None, each.name))


def _try(project: str, channel: ChannelSpec) -> ChannelState:
    at = now()
    said = f"This is a test of channel {channel.name} of project {project}: alerts arrive."
    finding = Finding(kind=AlertKind.FAILED, subject="test", pipeline="", since=at, said=said)
    alert = Alert(id="test", finding=finding, opened=at)
    message = Message(alert=alert, event=AlertEvent.TEST, key=f"test-{at.isoformat()}")
    shown = notifying.shown(channel)
    problem = within(_PATIENT, lambda: notifying.send(channel, project, [message], at), shown)
    return ChannelState(name=channel.name, to=shown, problem=problem, sent=0 if problem else 1)


def mute(workspace: Workspace, id: str, length: str | timedelta, reason: str, by: str | None = None) -> Alert:  # noqa: A002
    """Send nothing of an open alert for a time; ``0s`` ends that.

    Raises:
        NotFoundError: No alert of this identity is open.
    """
    at, duration = now(), parse_duration(length)

    def muted(alert: Alert) -> Alert:
        until = at + duration if duration else None
        return replace(
            alert, muted_until=until, muted_by=(by or user()) if until else "", muted_because=reason if until else ""
        )

    book = workspace.catalog.alerts
    changed = book.change(id, muted)
    if changed is None:
        there = [alert.id for alert in _open(book.alerts())]
        raise NotFoundError("No alert of this name is open", value=id, valid=there or "none", remedy="penstock alerts")
    return changed
