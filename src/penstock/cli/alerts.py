"""Commands about alerts: list, check, test, mute."""

from __future__ import annotations

import click

from penstock.cli.command import Session, command, group
from penstock.cli.groups import CommandEntry
from penstock.cli.judging import by_option, reason_option
from penstock.errors import DataError, TransientError


@group(
    entries=(
        CommandEntry("list", "penstock.cli.alerts:alerts_list", "List what is open; what alerts alone does."),
        CommandEntry("check", "penstock.cli.alerts:alerts_check", "Look now, and send what is due."),
        CommandEntry("test", "penstock.cli.alerts:alerts_test", "Send a test message."),
        CommandEntry("mute", "penstock.cli.alerts:alerts_mute", "Send nothing of an alert for a time."),
    ),
    default="list",
    alone=True,
    example="""
    penstock alerts
    penstock alerts check
    """,
)
def alerts() -> None:
    """Say what went wrong without anybody looking: failed runs, rejected loads, late tables, silent sources."""


@command(name="list", example="penstock alerts")
def alerts_list(session: Session) -> None:
    """List the open alerts, the last resolved ones, and what could not be sent, as the last look left them."""
    with session.project() as project:
        session.output.show(project.alerts.report())


@command(name="check", example="penstock alerts check")
def alerts_check(session: Session) -> int:
    """Look at all pipelines now, send what is due, and list what is open; no source is asked.

    For cron, on a machine without penstock serve. Ends with 3 while an alert is open that is not muted, with 4 if none
    is and a message could not be sent.
    """
    with session.project() as project:
        found = project.alerts.check()
    session.output.show(found)
    if found.loud:
        return DataError.exit_code
    return TransientError.exit_code if any(channel.unsent for channel in found.channels) else 0


@command(
    name="test",
    example="""
    penstock alerts test
    penstock alerts test oncall
    """,
)
@click.argument("channel", required=False)
def alerts_test(session: Session, channel: str | None) -> int:
    """Send a test message to CHANNEL, or to all channels. Ends with 4 if one does not take it."""
    with session.project() as project:
        found = project.alerts.test(channel)
    session.output.show(found)
    return TransientError.exit_code if any(each.problem for each in found) else 0


@command(name="mute", example='penstock alerts mute silent:orders --for 4h --reason "they told us: maintenance"')
@click.argument("id")
@click.option("--for", "length", required=True, metavar="TIME", help="For how long, as 4h or 2d; 0s ends it.")
@reason_option
@by_option
def alerts_mute(session: Session, id: str, length: str, reason: str, by: str | None) -> None:  # noqa: A002
    """Send nothing of the open alert ID for a time; it stays listed."""
    with session.project() as project:
        session.output.show(project.alerts.mute(id, length, reason, by))
