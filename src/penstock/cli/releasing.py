"""Commands of a release: diff, approve, reject, promote, rollback."""

from __future__ import annotations

import click

from penstock.cli.command import Session, command
from penstock.cli.judging import by_option
from penstock.errors import ConfigurationError

candidate_argument = click.argument("candidate", required=False)


@command(example="penstock diff flights")
@click.argument("pipeline", required=False)
@click.option("--candidate", metavar="ID", help="Show a candidate that was made before, by the beginning of its id.")
def diff(session: Session, pipeline: str | None, candidate: str | None) -> None:
    """Freeze the newest versions of PIPELINE as a candidate and say what it would change in production."""
    with session.project() as project:
        if candidate is not None:
            session.output.show(project.candidate(candidate, pipeline))
        else:
            session.output.show(project.diff(pipeline))


@command(example='penstock approve --reason "numbers agree with the airline\'s report"')
@candidate_argument
@click.option("--reason", default="", help="Why; it is kept with the decision.")
@by_option
def approve(session: Session, candidate: str | None, reason: str, by: str | None) -> None:
    """Approve exactly this CANDIDATE (default: the newest)."""
    with session.project() as project:
        session.output.show(project.approve(candidate, reason, by))


@command(example='penstock reject --reason "delays of March are missing"')
@candidate_argument
@click.option("--reason", required=True, help="Why; it is kept with the decision.")
@by_option
def reject(session: Session, candidate: str | None, reason: str, by: str | None) -> None:
    """Reject a CANDIDATE (default: the newest)."""
    with session.project() as project:
        session.output.show(project.reject(candidate, reason, by))


@command(example="penstock promote")
@candidate_argument
@click.option("--reason", default="", help="Why; it is kept with the release.")
@by_option
@click.option("--force", is_flag=True, help="Promote a version that was rolled back; needs --reason.")
def promote(session: Session, candidate: str | None, reason: str, by: str | None, force: bool) -> None:
    """Make a CANDIDATE the production release (default: the newest approved)."""
    with session.project(progress=True) as project:
        release = project.promote(candidate, reason=reason, by=by, force=force)
    session.output.show(release)


@command(
    example="""
    penstock rollback --to 3 --reason "delays of March are wrong"
    penstock rollback --table clicks --to 41 --reason "the player counted twice"
    """
)
@click.option("--to", type=int, metavar="NUMBER", help="The release (default: the one before); of a table, the load.")
@click.option("--table", metavar="TABLE", help="Take back one live table to a load, and no release.")
@click.option("--reason", required=True, help="Why; it is kept with the release.")
@by_option
def rollback(session: Session, to: int | None, table: str | None, reason: str, by: str | None) -> None:
    """Serve the tables of an earlier release again, in one step; or the rows of a live table up to a load."""
    with session.project(progress=True) as project:
        if table is None:
            session.output.show(project.rollback(to, reason=reason, by=by))
            return
        if to is None:
            raise ConfigurationError(
                "A live table is taken back to one of its loads", remedy="Name it: --to NUMBER; --to 0 leaves no row"
            )
        session.output.show(project.live.rollback(table, to, reason=reason, by=by))
