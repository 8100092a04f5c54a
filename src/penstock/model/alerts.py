"""Alerts: what is wrong without anybody looking, whom it is told to, and how that stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from enum import StrEnum

from penstock.values import dataclass


class AlertKind(StrEnum):
    """What an alert is about."""

    FAILED = "failed"
    MISSED = "missed"
    REJECTED = "rejected"
    QUARANTINE = "quarantine"
    SILENT = "silent"
    LATE = "late"
    LAGGING = "lagging"


class Urgency(StrEnum):
    """How bad it is."""

    WARN = "warn"
    ERROR = "error"


class AlertEvent(StrEnum):
    """What a message says of an alert."""

    OPENED = "opened"
    REPEATED = "repeated"
    RESOLVED = "resolved"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong at a moment; detection makes it from facts.

    Attributes:
        kind: What it is about.
        subject: The table, as the pipeline calls it, or the pipeline.
        pipeline: The pipeline to which it belongs.
        environment: ``staging`` or ``production``.
        since: Since when it is so.
        said: What is wrong, in sentences without values of rows.
        usual: What is usual, and how that is known; may be empty.
        remedy: What to do, with the command.
        cause: What it was found by, as the id of a run: one that is resolved is not found again by the same cause.
        owners: Who is told, as checks say.
    """

    kind: AlertKind
    subject: str
    pipeline: str
    environment: str = "staging"
    since: datetime
    said: str
    usual: str = ""
    remedy: str = ""
    cause: str = ""
    owners: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Return the identity: ``silent:orders``, with ``:production`` where it is about production."""
        return f"{self.kind.value}:{self.subject}" + ("" if self.environment == "staging" else f":{self.environment}")

    @property
    def urgency(self) -> Urgency:
        """Return how bad it is: rows that were set aside are kept and warned of, all else stops something."""
        return Urgency.WARN if self.kind is AlertKind.QUARANTINE else Urgency.ERROR


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A finding with its state: open, resolved, muted until a moment.

    Attributes:
        id: Its identity; a finding of the same identity is the same alert.
        finding: What was found last.
        opened: When it was found first.
        resolved: When it was found no more; None while it is open.
        muted_until: Until when nothing is sent of it.
        muted_by: Who said so.
        muted_because: Why.
    """

    id: str
    finding: Finding
    opened: datetime
    resolved: datetime | None = None
    muted_until: datetime | None = None
    muted_by: str = ""
    muted_because: str = ""

    def muted(self, at: datetime) -> bool:
        """Say whether nothing is sent of it at a moment."""
        return self.muted_until is not None and at < self.muted_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """A run that a schedule wanted and that did not begin; a scheduler hands it to the look.

    Attributes:
        pipeline: The pipeline.
        due: When it was to begin.
        reason: Why it did not, if that is known: a sentence.
    """

    pipeline: str
    due: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSpec:
    """One way of telling, as ``[alerts.channels.NAME]`` says.

    Attributes:
        name: The channel.
        url: An URL of apprise; empty where it is another way. It may hold secrets, so it is not shown.
        webhook: A URL that JSON is posted to.
        token: Sent with it as a bearer token.
        folder: A folder in which a file is created for each message.
        kinds: The kinds that go there; empty: all.
        urgency: The least urgency that goes there.
        pipelines: The pipelines whose alerts go there; empty: all.
        owners: The owners of checks whose alerts go there; empty: all, also those without an owner.
    """

    name: str
    url: str = field(default="", repr=False)
    webhook: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    folder: str = ""
    kinds: tuple[AlertKind, ...] = ()
    urgency: Urgency = Urgency.WARN
    pipelines: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()

    def takes(self, finding: Finding) -> bool:
        """Say whether what was found goes there."""
        return (
            (not self.kinds or finding.kind in self.kinds)
            and (self.urgency is Urgency.WARN or finding.urgency is Urgency.ERROR)
            and (not self.pipelines or finding.pipeline in self.pipelines)
            and (not self.owners or bool(set(self.owners) & set(finding.owners)))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsSpec:
    """What ``[alerts]`` says.

    Attributes:
        channels: Where messages go.
        repeat: After which time an open alert is sent again; None: never.
        quarantine: The greatest share of a load's rows that may be set aside.
        wait: Seconds that a run waits for messages to be sent.
        learn: Whether sources and releases without a limit are judged by their history.
    """

    channels: tuple[ChannelSpec, ...] = ()
    repeat: timedelta | None = None
    quarantine: float = 0.1
    wait: float = 5.0
    learn: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is to be said of one alert on one channel.

    Attributes:
        alert: The alert.
        event: What is said of it.
        key: The same for every attempt to say it, so that a receiver can leave out a message that came twice.
        first: Whether nothing of the alert reached the channel before.
    """

    alert: Alert
    event: AlertEvent
    key: str
    first: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageState:
    """One alert on one channel: what is to be said or was said last.

    Attributes:
        alert: The alert's identity.
        channel: The channel.
        event: What is to be said, or was said last.
        due: From when on it is to be said; None: it was said.
        told: When something was said of the alert, as it is open now.
        attempts: How often that failed.
        problem: Why it failed last.
    """

    alert: str
    channel: str
    event: AlertEvent
    due: datetime | None
    told: datetime | None = None
    attempts: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertChange:
    """What a look changes: alerts as they are now, what is to be said, and what is not to be said any more."""

    alerts: tuple[Alert, ...] = ()
    due: tuple[MessageState, ...] = ()
    dropped: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelState:
    """How a channel stands.

    Attributes:
        name: The channel.
        to: What it is, without secrets: ``mailto``, ``webhook to hooks.example.com`` …
        unsent: Messages that did not go out yet.
        problem: Why the last attempt failed; empty if it did not.
        sent: Messages that went out just now.
    """

    name: str
    to: str
    unsent: int = 0
    problem: str = ""
    sent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsReport:
    """How alerts stand.

    Attributes:
        open: Those that are open, oldest first, the muted ones too.
        resolved: The last ones that were resolved, newest first.
        channels: Where messages go, and what did not go out.
        looked: Pipeline to when it was looked at last.
        at: The moment of the report.
    """

    open: tuple[Alert, ...]
    resolved: tuple[Alert, ...] = ()
    channels: tuple[ChannelState, ...] = ()
    looked: Mapping[str, datetime] = field(default_factory=dict)
    at: datetime

    @property
    def loud(self) -> tuple[Alert, ...]:
        """Return the open alerts that are not muted."""
        return tuple(alert for alert in self.open if not alert.muted(self.at))
