"""Telling a channel: what a message says, and sending it by apprise, by a POST of JSON, or into a folder.

A message holds all that a look has to say to a channel. Whatever hinders it comes back as a sentence without the
channel's secrets, and is never raised: nobody's run ends because a mail server is down.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from penstock.errors import AlreadyExistsError, PenstockError
from penstock.model.alerts import AlertEvent, ChannelSpec, Message
from penstock.model.codec import encode
from penstock.monitor.alerts import moment, show
from penstock.monitor.posting import post
from penstock.names import moment as path_moment

TIMEOUT = 20.0
"""Seconds after which a server is not waited for any longer."""
_LOGGERS = ("apprise", "urllib3", "urllib3.connectionpool", "requests", "httpx", "httpcore", "smtplib")
_MOST_TOLD = 50


def shown(channel: ChannelSpec) -> str:
    """Return what a channel is, without secrets."""
    if channel.folder:
        return "folder"
    if channel.webhook:
        return f"webhook to {urlsplit(channel.webhook).hostname}"
    return channel.url.partition("://")[0].lower()


def title(project: str, messages: Sequence[Message]) -> str:
    """Return the subject: ``[shop] silent: orders``, or how many there are."""
    events = [message.event for message in messages]
    if events == [AlertEvent.TEST]:
        return f"[{project}] test of alerts"
    if len(messages) == 1:
        end = "" if events[0] is AlertEvent.OPENED else f" ({events[0].value})"
        return f"[{project}] {messages[0].alert.id}{end}"
    resolved = events.count(AlertEvent.RESOLVED)
    parts = [f"{len(events) - resolved} open"] if len(events) > resolved else []
    parts += [f"{resolved} resolved"] if resolved else []
    return f"[{project}] alerts: {', '.join(parts)}"


def text(messages: Sequence[Message]) -> str:
    """Return the body: a paragraph for each alert, the worst news first."""
    told = [paragraph(message) for message in messages[:_MOST_TOLD]]
    if len(messages) > _MOST_TOLD:
        told.append(f"And {len(messages) - _MOST_TOLD} more: penstock alerts")
    return "\n\n".join(told)


def paragraph(message: Message) -> str:
    """Return what is said of one alert: what, since when, what is usual, what to do."""
    alert, finding = message.alert, message.alert.finding
    if message.event is AlertEvent.TEST:
        return finding.said
    owners = f"Owner: {', '.join(finding.owners)}." if finding.owners else ""
    if message.event is AlertEvent.RESOLVED and alert.resolved is not None:
        first = " It is told only now, because it could not be sent before." if message.first else ""
        said = f"Resolved: {alert.id}, on {moment(alert.resolved)}, after {show(alert.resolved - alert.opened)}.{first}"
        return f"{said} It said: {finding.said}"
    still = f"Still open, since {moment(alert.opened)}:" if message.event is AlertEvent.REPEATED else ""
    quiet = f"To be left alone: penstock alerts mute {alert.id} --for 4h --reason …"
    lines = (still, finding.said, finding.usual, f"What to do: {finding.remedy}.", owners, quiet)
    return "\n".join(line for line in lines if line)


def body(project: str, messages: Sequence[Message], at: datetime) -> dict[str, Any]:
    """Return the document that webhooks and folders get."""
    return {
        "event": "alerts",
        "key": _key(project, messages),
        "project": project,
        "at": at.isoformat(),
        "title": title(project, messages),
        "text": text(messages),
        "alerts": [_described(message) for message in messages],
    }


def _described(message: Message) -> dict[str, Any]:
    alert, finding = message.alert, message.alert.finding
    return {
        "event": message.event.value,
        "key": message.key,
        "id": alert.id,
        "kind": finding.kind.value,
        "urgency": finding.urgency.value,
        "subject": finding.subject,
        "pipeline": finding.pipeline,
        "environment": finding.environment,
        "since": finding.since.isoformat(),
        "opened": alert.opened.isoformat(),
        "resolved": alert.resolved.isoformat() if alert.resolved else None,
        "said": finding.said,
        "usual": finding.usual,
        "remedy": finding.remedy,
        "owners": list(finding.owners),
    }


def _key(project: str, messages: Sequence[Message]) -> str:
    told = "\n".join(sorted(message.key for message in messages))
    return f"{project}-alerts-{hashlib.sha256(told.encode()).hexdigest()[:16]}"


def send(channel: ChannelSpec, project: str, messages: Sequence[Message], at: datetime) -> str:
    """Send messages as one; return what hindered it, or nothing."""
    ordered = sorted(messages, key=lambda message: (message.event is AlertEvent.RESOLVED, message.alert.opened))
    try:
        with _quiet():
            if channel.folder:
                return _write(channel, body(project, ordered, at), at)
            if channel.webhook:
                return _post(channel, body(project, ordered, at))
            return _apprise(channel, project, ordered)
    except Exception as error:
        # Its sentence may hold the URL.
        return f"{shown(channel)}: {type(error).__name__}"


def _write(channel: ChannelSpec, document: dict[str, Any], at: datetime) -> str:
    from penstock.stores.objects import LocalObjects

    name = f"alerts-{path_moment(at)}-{str(document['key']).rpartition('-')[2]}.json"
    try:
        LocalObjects(channel.folder).create(name, encode(document))
    except AlreadyExistsError:
        return ""
    except (PenstockError, OSError) as error:
        return str(error)
    return ""


def _post(channel: ChannelSpec, document: dict[str, Any]) -> str:
    key = str(document["key"])
    problem = post(channel.webhook, encode(document), token=channel.token, key=key, timeout=TIMEOUT)
    return f"webhook to {problem}" if problem else ""


def _apprise(channel: ChannelSpec, project: str, messages: Sequence[Message]) -> str:
    try:
        import apprise
    except ImportError:
        return f"{shown(channel)} needs an optional package: pip install 'penstock[alerts]'"
    # Neither threads of its own nor a deadline: whoever calls this does not wait for it beyond its own.
    asset = apprise.AppriseAsset(
        app_id="Penstock", app_desc="alerts", async_mode=False, storage_mode="memory", service_timeout=0
    )
    sender = apprise.Apprise(asset=asset)
    if not sender.add(channel.url):
        return f"{shown(channel)}: its url is none that apprise understands"
    worst = any(message.event in (AlertEvent.OPENED, AlertEvent.REPEATED) for message in messages)
    kind = apprise.NotifyType.FAILURE if worst else apprise.NotifyType.SUCCESS
    sent = sender.notify(
        title=title(project, messages), body=text(messages), notify_type=kind, body_format=apprise.NotifyFormat.TEXT
    )
    return "" if sent else f"{shown(channel)}: apprise could not deliver it"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' logs of this thread to ourselves: they name URLs, whose paths may hold secrets."""
    mine = threading.get_ident()

    def others(record: logging.LogRecord) -> bool:
        return record.thread != mine

    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addFilter(others)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(others)
