"""Commands that care for the places: compact, vacuum, rebuild, doctor."""

from __future__ import annotations

import click

from penstock.cli.codes import code_of_run
from penstock.cli.command import Session, command
from penstock.model.receipts import State


@command(
    example="""
    penstock rebuild
    penstock rebuild --table orders
    """
)
@click.argument("pipeline", required=False)
@click.option("--table", help="Only this table; all others are carried over as they are.")
@click.option("--recompute", is_flag=True, help="Compute transforms even where their version is up to date.")
def rebuild(session: Session, pipeline: str | None, table: str | None, recompute: bool) -> int:
    """Make the staging warehouse anew from the lake, without asking a source.

    The new file is made beside the old one and takes its place in the end; nothing of production changes. Without
    PIPELINE the tables of all pipelines are made anew, which also mends a file that is damaged or gone.
    """
    with session.project(progress=True) as project:
        receipt = project.rebuild(pipeline, table, recompute=recompute)
    session.output.show(receipt)
    failed = [run for run in receipt.runs if run.state is State.FAILED]
    for run in failed:
        session.output.fail(run.error, code_of_run(run))
    return max((code_of_run(run) for run in receipt.runs), default=0)


@command(
    example="""
    penstock compact
    penstock compact flights --window hour
    """
)
@click.argument("table", required=False)
@click.option(
    "--window",
    type=click.Choice(["hour", "day"]),
    help="Only files of one closed hour or day (UTC) come together; default: as penstock.toml says, or a day.",
)
@click.option("--open", "open_too", is_flag=True, help="Also the hour or day that has not closed yet.")
def compact(session: Session, table: str | None, window: str | None, open_too: bool) -> None:
    """Write the small files of the raw table TABLE, or of all, together; no row changes.

    Loads, runs and readers go on meanwhile. The old files stay on the disk until penstock vacuum.
    """
    with session.project(progress=True) as project:
        reports = project.compact(table, window, open_too=open_too)
    session.output.show(reports, empty="There is no raw table yet.")


@command(
    example="""
    penstock vacuum --dry-run
    penstock vacuum --older-than 30d
    """
)
@click.option("--older-than", default="7d", show_default=True, help="How long ago a file must have ceased to count.")
@click.option("--dry-run", is_flag=True, help="Only list what would go.")
def vacuum(session: Session, older_than: str, dry_run: bool) -> None:
    """Delete data files that no longer count, in the lakes of staging and production.

    What a kept release, a training set, a candidate, a run at work, or a load of any verdict needs is never deleted.
    """
    with session.project() as project:
        report = project.vacuum(older_than, dry_run=dry_run)
    session.output.show(report)


@command(
    example="""
    penstock doctor
    penstock doctor --clean
    penstock doctor --rebuild-catalog
    """
)
@click.option("--clean", is_flag=True, help="Remove objects that nothing names.")
@click.option("--rebuild-catalog", is_flag=True, help="Make the catalog anew from the lakes.")
def doctor(session: Session, clean: bool, rebuild_catalog: bool) -> None:
    """Finish what a crash left half-way and list the objects that nothing names."""
    with session.project() as project:
        reports = [project.rebuild_catalog()] if rebuild_catalog else []
        if clean or not rebuild_catalog:
            reports.append(project.examine(clean=clean))
    session.output.show(reports[0] if len(reports) == 1 else tuple(reports))
