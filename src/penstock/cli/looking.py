"""Commands that ask: status, runs, versions, profile, drift."""

from __future__ import annotations

import click

from penstock.cli.command import Session, command
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


@command(
    example="""
    penstock lineage delays --column mean_delay
    penstock lineage delays --as-of 2026-11-21T02-30
    """
)
@click.argument("table")
@click.option("--column", help="Only what this column comes from.")
@click.option("--as-of", metavar="RUN", help="As it stood at the end of this run; the beginning of its id suffices.")
def lineage(session: Session, table: str, column: str | None, as_of: str | None) -> None:
    """Say what made TABLE: its inputs back to what was read, the code, the checks, who approved it.

    Columns are followed through queries; of a function any column may come from any input.
    """
    with session.project() as project:
        session.output.show(project.lineage(table, column, as_of))


@command(example="penstock profile departures")
@click.argument("table")
@click.option("--pipeline", help="The pipeline, where there are several.")
def profile(session: Session, table: str, pipeline: str | None) -> None:
    """Say what the values of TABLE look like: kinds, nulls, quantiles, frequent values, histograms.

    Where all its loads or versions keep a profile (profiled=[…] of the pipeline) these are merged; else rows are read.
    """
    with session.project() as project:
        session.output.show(project.profile(table, pipeline))


@command(
    example="""
    penstock drift departures
    penstock drift departures --against weekday --stability 0.2
    penstock drift departures --html drift.html
    """
)
@click.argument("table")
@click.option("--pipeline", help="The pipeline, where there are several.")
@click.option("--against", metavar="WHAT", help="before (default), usual, weekday, release, dataset:NAME, or a number.")
@click.option("--distance", type=click.FloatRange(0, 1), default=0.1, show_default=True, help="Least KS that matters.")
@click.option("--stability", type=click.FloatRange(0), default=0.1, show_default=True, help="Least PSI that matters.")
@click.option("--nulls", type=click.FloatRange(0, 1), default=0.02, show_default=True, help="Least change of nulls.")
@click.option("--chance", type=click.FloatRange(0, 1), default=0.001, show_default=True, help="Of a false alarm.")
@click.option("--growth", type=click.FloatRange(1), help="Most that the number of rows may grow or shrink by.")
@click.option("--html", metavar="FILE", help="Draw it into FILE as one HTML page, too.")
@click.option("--classifier", is_flag=True, help="Let a classifier tell the rows apart as well; it reads some.")
def drift(
    session: Session,
    table: str,
    pipeline: str | None,
    against: str | None,
    html: str | None,
    classifier: bool,
    **limits: float | None,
) -> int:
    """Compare the newest load or version of TABLE with those before, by their kept profiles; no data is read.

    Ends with 3 if something differs by more than chance and by enough to matter.
    """
    with session.project() as project:
        given = {name: value for name, value in limits.items() if value is not None}
        report = project.drift(table, pipeline, against=against, classifier=classifier, **given)
    session.output.show(report)
    if html is not None:
        from penstock.cli.pages.document import write
        from penstock.cli.pages.drift import page

        write(html, page(report))
    return DataError.exit_code if report.drifted else 0
