"""Commands that end a rejected load: accept, discard."""

from __future__ import annotations

import click

from penstock.cli.command import Session, command

reason_option = click.option("--reason", required=True, help="Why; it is kept with the decision.")
by_option = click.option("--by", metavar="NAME", help="Who decides; default: you.")


@command(example='penstock accept flights 12 --reason "the airline confirmed the numbers"')
@click.argument("table")
@click.argument("load", type=int)
@reason_option
@by_option
def accept(session: Session, table: str, load: int, reason: str, by: str | None) -> None:
    """Accept the rejected LOAD of TABLE as it is; the next run goes on below it."""
    with session.project() as project:
        session.output.show(project.accept(table, load, reason, by))


@command(example='penstock discard flights 12 --reason "a test file that was never meant for us"')
@click.argument("table")
@click.argument("load", type=int)
@reason_option
@by_option
def discard(session: Session, table: str, load: int, reason: str, by: str | None) -> None:
    """End the rejected LOAD of TABLE without its rows."""
    with session.project() as project:
        session.output.show(project.discard(table, load, reason, by))
