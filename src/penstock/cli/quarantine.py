"""Commands about rows that were set aside: quarantine list, show, export, replay, discard."""

from __future__ import annotations

import os
from typing import Any

import click

from penstock.cli.codes import end_of_run
from penstock.cli.command import Session, command, group
from penstock.cli.groups import CommandEntry
from penstock.cli.judging import by_option, reason_option


@group(
    entries=(
        CommandEntry("list", "penstock.cli.quarantine:quarantine_list", "List what was set aside."),
        CommandEntry("show", "penstock.cli.quarantine:quarantine_show", "Show rows with all their reasons."),
        CommandEntry("export", "penstock.cli.quarantine:quarantine_export", "Write the open rows to a file."),
        CommandEntry("replay", "penstock.cli.quarantine:quarantine_replay", "Bring open rows in again, edited or not."),
        CommandEntry(
            "discard", "penstock.cli.quarantine:quarantine_discard", "End open rows without bringing them in."
        ),
    ),
    example="penstock quarantine show weather --limit 5",
)
def quarantine() -> None:
    """Look at the rows that failed a check and were set aside; edit, replay or discard them."""


@command(name="list", example="penstock quarantine list weather")
@click.argument("table", required=False)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many, newest first.")
def quarantine_list(session: Session, table: str | None, limit: int) -> None:
    """List the loads and versions that set rows aside, of TABLE or of all tables."""
    with session.project() as project:
        found = project.quarantine.summaries(table)
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
        session.output.show(project.quarantine.rows(table, load, limit))


where_option = click.option("--where", metavar="SQL", help="Only the rows for which this is true; default: all.")


lines_option = click.option("--lines", is_flag=True, help="Lines of files that were no rows, instead of rows.")


@command(
    name="export",
    example="""
    penstock quarantine export weather --to weather.csv
    penstock quarantine export weather --lines --to lines.csv
    """,
)
@click.argument("table")
@lines_option
@click.option(
    "--to",
    "file",
    metavar="FILE",
    help="FILE.csv, .jsonl or .parquet; default: TABLE-quarantine.csv or TABLE-lines.csv.",
)
def quarantine_export(session: Session, table: str, file: str | None, lines: bool) -> None:
    """Write the open rows of TABLE to a file, to be edited and given to replay --from.

    _load and _position say which row it is: leave them as they are. Rows that you take out stay open. With --lines
    each line comes with its text in _line and with empty columns, to be filled in.
    """
    place = os.path.abspath(file or f"{table}-{'lines' if lines else 'quarantine'}.csv")
    with session.project() as project:
        session.output.show(project.quarantine.export(table, place, lines=lines))


@command(
    name="replay",
    example="""
    penstock quarantine replay weather
    penstock quarantine replay weather --set "temp = temp / 10" --dry-run
    penstock quarantine replay weather --from weather.csv
    penstock quarantine replay weather --lines --set "station = split_part(_line, ';', 1)"
    penstock quarantine replay clicks --lines
    """,
)
@click.argument("table")
@click.option("--set", "sets", multiple=True, metavar="'COLUMN = SQL'", help="Change a column; may be repeated.")
@where_option
@click.option("--from", "file", metavar="FILE", help="The rows as they should be: an export that was edited.")
@lines_option
@click.option("--dry-run", is_flag=True, help="Only say what would come in, and what the checks would find.")
def quarantine_replay(session: Session, table: str, *, dry_run: bool, **edit: Any) -> int:
    """Bring open rows of TABLE in again, edited or as they are, as a load of their own, and go on below it.

    They pass through the checks as they are now; what fails again is set aside again. A row that was replayed or
    discarded is not open any more. Ends with 3 if a check with severity error fails.
    """
    if dry_run:
        with session.project() as project:
            session.output.show(project.quarantine.preview(table, **edit))
        return 0
    with session.project(progress=True) as project:
        receipt = project.quarantine.replay(table, **edit)
    return end_of_run(receipt, session.output)


@command(name="discard", example='penstock quarantine discard weather --where "temp = 999" --reason noise')
@click.argument("table")
@where_option
@lines_option
@reason_option
@by_option
def quarantine_discard(session: Session, table: str, reason: str, **meant: Any) -> None:
    """End open rows of TABLE: they are kept, and wait for nobody any more."""
    with session.project() as project:
        session.output.show(project.quarantine.discard(table, reason, **meant))
