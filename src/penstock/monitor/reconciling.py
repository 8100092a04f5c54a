"""From findings to alerts and messages: what opens, goes on and is resolved. Pure; the catalog carries it out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from penstock.model.alerts import Alert, AlertChange, AlertEvent, AlertsSpec, Finding, MessageState


def reconcile(
    known: Sequence[Alert], told: Iterable[MessageState], found: Sequence[Finding], spec: AlertsSpec, at: datetime
) -> AlertChange:
    """Compare what was known with what is found.

    Args:
        known: The alerts of the pipelines that were looked at, the resolved ones too.
        told: What was said of them.
        found: What is wrong now.
        spec: The channels, and after which time an alert is repeated.
        at: Now.
    """
    by_id = {alert.id: alert for alert in known}
    said: dict[str, dict[str, MessageState]] = {}
    for each in told:
        said.setdefault(each.alert, {})[each.channel] = each
    standing = {finding.id: finding for finding in found}
    alerts: list[Alert] = []
    due: list[MessageState] = []
    dropped: list[tuple[str, str]] = []
    for id_, finding in standing.items():
        alert = by_id.get(id_)
        if alert is None or alert.resolved is not None:
            if alert is not None and finding.cause and finding.cause == alert.finding.cause:
                continue
            alert = _opened(alert, finding, at)
            due += _open(alert, {}, spec, at)
        else:
            alert = replace(alert, finding=replace(finding, since=min(finding.since, alert.finding.since)))
            due += _open(alert, said.get(id_, {}), spec, at)
        alerts.append(alert)
    for alert in known:
        if alert.resolved is None and alert.id not in standing:
            alerts.append(replace(alert, resolved=at))
            ended, forgotten = _resolve(alert, said.get(alert.id, {}), at)
            due += ended
            dropped += forgotten
    return AlertChange(alerts=tuple(alerts), due=tuple(due), dropped=tuple(dropped))


def _opened(before: Alert | None, finding: Finding, at: datetime) -> Alert:
    """Return a new alert; one that was muted before is muted still."""
    if before is None or not before.muted(at):
        return Alert(id=finding.id, finding=finding, opened=at)
    return replace(before, finding=finding, opened=at, resolved=None)


def _open(alert: Alert, said: Mapping[str, MessageState], spec: AlertsSpec, at: datetime) -> list[MessageState]:
    """Return what is to be said of an open alert: once, then again after the time that was set."""
    due = []
    for channel in spec.channels:
        before = said.get(channel.name)
        if not channel.takes(alert.finding):
            continue
        if before is None:
            due.append(MessageState(alert=alert.id, channel=channel.name, event=AlertEvent.OPENED, due=at))
        elif spec.repeat is not None and before.due is None and before.told and at - before.told >= spec.repeat:
            due.append(replace(before, event=AlertEvent.REPEATED, due=at))
    return due


def _resolve(
    alert: Alert, said: Mapping[str, MessageState], at: datetime
) -> tuple[list[MessageState], list[tuple[str, str]]]:
    """Return to whom the end is told: whoever knows of it, or would if their channel had not been dead."""
    due, dropped = [], []
    for each in said.values():
        if each.told is None and alert.muted(at):
            dropped.append((each.alert, each.channel))
        else:
            due.append(replace(each, event=AlertEvent.RESOLVED, due=at))
    return due, dropped
