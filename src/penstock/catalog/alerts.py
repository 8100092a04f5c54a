"""The state of alerts: what is open, what was said of it where, what is to be said, and what tables brought.

None of it stands in the lake: when a catalog is lost, what is open is said once more.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from penstock.catalog.database import Database, Statements
from penstock.catalog.moments import from_micros, to_micros
from penstock.model.alerts import Alert, AlertChange, AlertEvent, Message, MessageState
from penstock.model.codec import decode, encode
from penstock.model.entries import Entry
from penstock.model.releases import Release
from penstock.values import dataclass

_BATCH = 500
"""Entries in one go."""
_MOST_MESSAGES = 10_000
"""Messages in one go: all that a look has to say goes out as one."""
_TOLD = "SELECT alert, channel, event, due, told, attempts, problem FROM alert_messages"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Messages of one channel that nobody else sends until it runs out."""

    token: str
    channel: str
    messages: tuple[Message, ...]


class AlertBook:
    """The tables of alerts in one database; each change is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # What tables brought

    def heads(self) -> dict[str, int]:
        """Return the number of the newest indexed entry of each table."""
        sql = "SELECT t.table_name, (SELECT max(e.number) FROM entries e WHERE e.table_name = t.table_name)"
        with self._database.reading() as statements:
            return {name: int(head or 0) for name, head in statements.rows(f"{sql} FROM staging_tables t")}

    def after(self, table: str, number: int) -> tuple[Entry, ...]:
        """Return the next entries of a table after a number, oldest first."""
        with self._database.reading() as statements:
            rows = statements.rows(
                f"SELECT body FROM entries WHERE table_name = ? AND number > ? ORDER BY number LIMIT {_BATCH}",
                (table, number),
            )
        return tuple(decode(Entry, bytes(row[0]), where=f"An entry of {table} in the catalog") for row in rows)

    def releases_after(self, number: int) -> tuple[Release, ...]:
        """Return the releases after a number, oldest first."""
        with self._database.reading() as statements:
            rows = statements.rows("SELECT body FROM releases WHERE number > ? ORDER BY number", (number,))
        return tuple(decode(Release, bytes(row[0]), where="A release in the catalog") for row in rows)

    def folded(self) -> dict[str, bytes]:
        """Return what ``keep_folded`` kept, by table or another name."""
        with self._database.reading() as statements:
            return {name: bytes(body) for name, body in statements.rows("SELECT table_name, body FROM arrivals")}

    def keep_folded(self, folded: Mapping[str, bytes]) -> None:
        """Keep what came of tables, so that it need not be read again."""
        with self._database.writing() as statements:
            statements.many(
                "INSERT INTO arrivals VALUES (?, ?) ON CONFLICT (table_name) DO UPDATE SET body = excluded.body",
                list(folded.items()),
            )

    # What is open

    def alerts(self) -> tuple[Alert, ...]:
        """Return all alerts, the resolved ones too, in the order of their opening."""
        with self._database.reading() as statements:
            return _alerts(statements)

    def messages(self) -> tuple[MessageState, ...]:
        """Return what was said of alerts, and what is to be said."""
        with self._database.reading() as statements:
            return tuple(_state(row) for row in statements.rows(_TOLD))

    def looked(self) -> dict[str, datetime]:
        """Return when each pipeline was looked at last."""
        with self._database.reading() as statements:
            return {name: from_micros(at) for name, at in statements.rows("SELECT pipeline, at FROM alert_looks")}

    def settle(
        self,
        pipelines: Sequence[str],
        at: datetime,
        decide: Callable[[Sequence[Alert], Sequence[MessageState]], AlertChange],
    ) -> None:
        """Let a look decide about what is known, and nobody else meanwhile.

        Args:
            pipelines: The pipelines that were looked at; the others are as they were.
            at: The moment of the look. One that is overtaken by a later look of these pipelines changes nothing.
            decide: Called with what is known of alerts and of what was said; it must not use the catalog.
        """
        with self._database.writing() as statements:
            looks = {name: from_micros(when) for name, when in statements.rows("SELECT pipeline, at FROM alert_looks")}
            # A clock that was wrong once, far ahead, must not end all looks.
            overtaken = {name for name in pipelines if name in looks and at < looks[name] < at + timedelta(minutes=10)}
            wanted = set(pipelines) - overtaken
            known = [alert for alert in _alerts(statements) if alert.finding.pipeline in wanted]
            ids = {alert.id for alert in known}
            said = [state for row in statements.rows(_TOLD) if (state := _state(row)).alert in ids]
            change = decide(known, said)
            _keep(statements, [alert for alert in change.alerts if alert.finding.pipeline in wanted])
            gone = {alert.id for alert in change.alerts if alert.finding.pipeline not in wanted}
            _say(statements, [each for each in change.due if each.alert not in gone])
            statements.many("DELETE FROM alert_messages WHERE alert = ? AND channel = ?", change.dropped)
            statements.many(
                "INSERT INTO alert_looks VALUES (?, ?) ON CONFLICT (pipeline) DO UPDATE SET at = excluded.at",
                [(name, to_micros(at)) for name in sorted(wanted)],
            )

    def change(self, id: str, how: Callable[[Alert], Alert]) -> Alert | None:  # noqa: A002 - what an alert calls it
        """Change one alert that is open, and return it as it is then; None if none of that identity is open."""
        with self._database.writing() as statements:
            there = [alert for alert in _alerts(statements) if alert.id == id and alert.resolved is None]
            changed = [how(alert) for alert in there]
            _keep(statements, changed)
        return changed[0] if changed else None

    # What is to be said

    def claim(self, channel: str, at: datetime, seconds: float) -> Claim | None:
        """Take the messages of a channel that are due; None if there are none that nobody else is sending.

        A claim that is not finished runs out after ``seconds`` by the clock of the database; then its messages are due
        again: whoever dies between sending and ``finish`` has them sent once more.
        """
        token = secrets.token_hex(8)
        with self._database.writing() as statements:
            now = self._database.now()
            due = statements.rows(
                "SELECT m.alert, m.event, m.told, a.body FROM alert_messages m JOIN alerts a ON a.id = m.alert "
                "WHERE m.channel = ? AND m.due IS NOT NULL AND m.due <= ? AND (m.claimed_until IS NULL OR "
                "m.claimed_until <= ?) AND (m.event = 'resolved' OR a.muted_until <= ?) "
                f"ORDER BY m.due LIMIT {_MOST_MESSAGES}",
                (channel, to_micros(at), now, to_micros(at)),
            )
            statements.many(
                "UPDATE alert_messages SET claimed = ?, claimed_until = ? WHERE alert = ? AND channel = ?",
                [(token, now + round(seconds * 1e6), row[0], channel) for row in due],
            )
        if not due:
            return None
        messages = tuple(_message(AlertEvent(event), told, _alert(body)) for _, event, told, body in due)
        return Claim(token=token, channel=channel, messages=messages)

    def finish(self, claim: Claim, at: datetime, problem: str = "", retry: datetime | None = None) -> None:
        """Note that the messages of a claim were sent, or why not and when to try again.

        What a later look has changed meanwhile stays due.
        """
        values = [(message.alert.id, claim.channel, claim.token) for message in claim.messages]
        where = "WHERE alert = ? AND channel = ? AND claimed = ?"
        free = "claimed = NULL, claimed_until = NULL"
        with self._database.writing() as statements:
            if problem:
                statements.many(
                    f"UPDATE alert_messages SET due = ?, problem = ?, attempts = attempts + 1, {free} {where}",
                    [(to_micros(retry or at), problem, *each) for each in values],
                )
            else:
                statements.many(
                    f"UPDATE alert_messages SET due = NULL, told = ?, problem = '', attempts = 0, {free} {where}",
                    [(to_micros(at), *each) for each in values],
                )

    def forget_channels(self, kept: Iterable[str]) -> None:
        """Drop what was to be said on channels that are there no more."""
        listed = set(kept)
        with self._database.reading() as statements:
            gone = [
                row for row in statements.rows("SELECT DISTINCT channel FROM alert_messages") if row[0] not in listed
            ]
        if gone:
            with self._database.writing() as statements:
                statements.many("DELETE FROM alert_messages WHERE channel = ?", gone)


def _alerts(statements: Statements) -> tuple[Alert, ...]:
    return tuple(_alert(row[0]) for row in statements.rows("SELECT body FROM alerts ORDER BY opened, id"))


def _alert(body: bytes) -> Alert:
    return decode(Alert, bytes(body), where="An alert in the catalog")


def _state(row: tuple[Any, ...]) -> MessageState:
    alert, channel, event, due, told, attempts, problem = row
    return MessageState(
        alert=alert,
        channel=channel,
        event=AlertEvent(event),
        due=None if due is None else from_micros(due),
        told=None if told is None else from_micros(told),
        attempts=int(attempts),
        problem=problem,
    )


def _message(event: AlertEvent, told: int | None, alert: Alert) -> Message:
    again = f"-{told}" if event is AlertEvent.REPEATED else ""
    key = f"{alert.id}-{to_micros(alert.opened)}-{event.value}{again}"
    return Message(alert=alert, event=event, key=key, first=told is None)


def _keep(statements: Statements, alerts: Sequence[Alert]) -> None:
    statements.many(
        "INSERT INTO alerts VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET opened = excluded.opened, "
        "resolved = excluded.resolved, muted_until = excluded.muted_until, body = excluded.body",
        [
            (
                alert.id,
                to_micros(alert.opened),
                to_micros(alert.resolved) if alert.resolved else None,
                to_micros(alert.muted_until) if alert.muted_until else 0,
                encode(alert),
            )
            for alert in alerts
        ],
    )


def _say(statements: Statements, due: Sequence[MessageState]) -> None:
    statements.many(
        "INSERT INTO alert_messages VALUES (?, ?, ?, ?, ?, 0, '', NULL, NULL) ON CONFLICT (alert, channel) DO UPDATE "
        "SET event = excluded.event, due = excluded.due, told = excluded.told, attempts = 0, claimed = NULL, "
        "claimed_until = NULL",
        [
            (
                each.alert,
                each.channel,
                each.event.value,
                to_micros(each.due) if each.due else None,
                to_micros(each.told) if each.told else None,
            )
            for each in due
        ],
    )
