"""Commands about checks: run them over a table as it is, suggest some."""

from __future__ import annotations

from pathlib import Path

import click

from penstock.cli.command import Session, command, group
from penstock.cli.groups import CommandEntry
from penstock.errors import ConfigurationError, DataError


@group(
    entries=(
        CommandEntry("table", "penstock.cli.checking:check_table", "Run the checks of a table; what check TABLE does."),
        CommandEntry("suggest", "penstock.cli.checking:check_suggest", "Suggest checks that recent loads have passed."),
    ),
    default="table",
    example="""
    penstock check departures
    penstock check suggest departures
    """,
)
def check() -> None:
    """Run the checks of a table over all its rows, or suggest checks for it."""


@command(name="table", example="penstock check departures")
@click.argument("table")
@click.option("--pipeline", help="The pipeline, where there are several.")
def check_table(session: Session, table: str, pipeline: str | None) -> int:
    """Run the checks of TABLE over all its rows as they are; nothing is written.

    Ends with 3 if a check with severity error fails.
    """
    with session.project() as project:
        receipt = project.check(table, pipeline)
    session.output.show(receipt)
    return DataError.exit_code if receipt.report.rejects else 0


@command(name="suggest", example="penstock check suggest departures --out checks_of_departures.py")
@click.argument("table")
@click.option("--pipeline", help="The pipeline, where there are several.")
@click.option("--out", metavar="FILE", help="Write the code to a new FILE instead of printing it.")
def check_suggest(session: Session, table: str, pipeline: str | None, out: str | None) -> None:
    """Suggest checks for TABLE: what held in all its recent loads, as Python to edit, with the reason of each.

    Up to 60 loads are looked at; figures are judged from 10 on. From 20 on, what the earlier loads suggest is tried on
    the later ones, and what fails there is left out. Nothing is changed: paste what you agree with.
    """
    if out is not None and Path(out).exists():
        raise ConfigurationError("There is a file of that name", value=out, remedy="Name another one, or delete it")
    with session.project() as project:
        found = project.suggest(table, pipeline)
    if out is not None:
        Path(out).write_text(found.code, encoding="utf-8")
        session.output.say(f"{len(found.checks)} checks of {found.table}, by {found.loads} loads, written to {out}.")
    if out is None or session.as_json:
        session.output.show(found)


@command(
    example="""
    penstock report departures
    penstock report departures --html departures.html
    """
)
@click.argument("table")
@click.option("--pipeline", help="The pipeline, where there are several.")
@click.option(
    "--load", "number", type=int, metavar="NUMBER", help="A load or version; default: the newest checked one."
)
@click.option("--html", metavar="FILE", help="Write it to FILE as one HTML page, too.")
def report(session: Session, table: str, pipeline: str | None, number: int | None, html: str | None) -> None:
    """Report on a load or version of TABLE: each check with its trend, failing rows, and the query for the rest.

    Values of personal columns are masked. The page needs nothing beside itself.
    """
    with session.project() as project:
        found = project.report(table, pipeline, number=number)
    session.output.show(found)
    if html is not None:
        from penstock.cli.pages.document import write
        from penstock.cli.pages.report import page

        write(html, page(found))
