"""Commands that ask: status, runs, versions, check, quarantine."""

from __future__ import annotations

import click

from penstock.cli.command import Session, command, group
from penstock.cli.groups import CommandEntry
from penstock.errors import DataError


@command(example="penstock status")
def status(session: Session) -> None:
    """Say how every pipeline stands, what is in production, and what waits for you."""
    with session.project() as project:
        session.output.show(project.status())


@command(
    example="""
    penstock runs flights --limit 5
    penstock runs --id 2026-11-21T02-30
    """
)
@click.argument("pipeline", required=False)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many, newest first.")
@click.option("--id", "run_id", metavar="ID", help="Show one run; the beginning of its id suffices.")
def runs(session: Session, pipeline: str | None, limit: int, run_id: str | None) -> None:
    """List the newest runs, or show one with all its steps."""
    with session.project() as project:
        if run_id is not None:
            session.output.show(project.run_details(run_id))
        else:
            session.output.show(project.runs(pipeline, limit), empty="Nothing has run yet.")


@command(example="penstock versions flights")
@click.argument("table")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many, newest first.")
def versions(session: Session, table: str, limit: int) -> None:
    """List the loads and verdicts of a source's TABLE, or the versions of a transform's."""
    with session.project() as project:
        session.output.show(project.versions(table, limit), empty=f"{table} has no versions yet.")


@command(example="penstock check departures")
@click.argument("table")
@click.option("--pipeline", help="The pipeline, where there are several.")
def check(session: Session, table: str, pipeline: str | None) -> int:
    """Run the checks of TABLE over all its rows as they are; nothing is written.

    Ends with 3 if a check with severity error fails.
    """
    with session.project() as project:
        receipt = project.check(table, pipeline)
    session.output.show(receipt)
    return DataError.exit_code if receipt.report.rejects else 0


@group(
    entries=(
        CommandEntry("list", "penstock.cli.looking:quarantine_list", "List what was set aside."),
        CommandEntry("show", "penstock.cli.looking:quarantine_show", "Show rows with all their reasons."),
    ),
    example="penstock quarantine show weather --limit 5",
)
def quarantine() -> None:
    """List or show the rows that failed a check and were set aside."""


@command(name="list", example="penstock quarantine list weather")
@click.argument("table", required=False)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many, newest first.")
def quarantine_list(session: Session, table: str | None, limit: int) -> None:
    """List the loads and versions that set rows aside, of TABLE or of all tables."""
    with session.project() as project:
        found = project.quarantine(table)
    session.output.show(found[:limit], empty="Nothing was set aside.")
    if len(found) > limit:
        session.output.say(f"{len(found) - limit} more; --limit {len(found)} shows them all.")


@command(name="show", example="penstock quarantine show weather --load 7")
@click.argument("table")
@click.option("--load", type=int, metavar="NUMBER", help="The load or version; default: the newest that has any.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many rows.")
def quarantine_show(session: Session, table: str, load: int | None, limit: int) -> None:
    """Show rows of TABLE that were set aside, each with all its reasons and where it came from."""
    with session.project() as project:
        session.output.show(project.quarantine_rows(table, load, limit))
