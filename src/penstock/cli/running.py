"""Commands that plan and run: plan, run, backfill, retry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from penstock.cli.codes import end_of_run
from penstock.cli.command import Session, command
from penstock.cli.places import interval_options
from penstock.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from penstock.model.interval import Interval
    from penstock.model.plan import Plan

pipeline_argument = click.argument("pipeline", required=False)
again_option = click.option(
    "--again", is_flag=True, help="Read intervals again that are done; their rows are replaced."
)
refresh_option = click.option(
    "--refresh",
    multiple=True,
    metavar="TABLE",
    help="Compute this transform anew, whole, whatever is up to date; may be repeated.",
)


@command(example="penstock plan flights --interval 2013-01-01/2013-04-01")
@pipeline_argument
@interval_options
@again_option
@refresh_option
@click.option("--summary", is_flag=True, help="One line per kind of step instead of one per step.")
def plan(
    session: Session,
    pipeline: str | None,
    covered: Interval | None,
    again: bool,
    refresh: tuple[str, ...],
    summary: bool,
) -> None:
    """Say what a run of PIPELINE would do and why; nothing is written and no source is asked.

    Each step says what it would replace and, where the code of a transform changed, which lines. Rows and time go by
    earlier runs.

    PIPELINE may be left out where there is only one. Keep the plan with --json and give it to run --plan.
    """
    with session.project() as project:
        planned = project.plan(pipeline, covered, again=again, refresh=refresh)
    session.output.show(planned, summary=summary)


@command(
    example="""
    penstock run
    penstock run flights --interval 2013-04-01
    penstock plan --json > plan.json && penstock run --plan plan.json
    """
)
@pipeline_argument
@interval_options
@refresh_option
@click.option("--plan", "plan_file", metavar="FILE", help="Do just what this plan says; refuse if anything has moved.")
@click.option("--firing", metavar="ID:ATTEMPT", hidden=True, help="Carry out a firing of the scheduler.")
def run(
    session: Session,
    pipeline: str | None,
    covered: Interval | None,
    refresh: tuple[str, ...],
    plan_file: str | None,
    firing: str | None,
) -> int:
    """Run PIPELINE: extract what is due, land it, check it, load it, transform it, check again.

    Work that is done is not done again. Ends with 3 if a load was rejected.
    """
    if firing is not None:
        with session.project(progress=True) as project:
            return end_of_run(project.fire(firing), session.output)
    expected = _read_plan(plan_file) if plan_file else None
    if expected is not None and (covered is not None or refresh):
        raise ConfigurationError(
            "A plan says already which time is covered and what is made anew",
            value="--refresh" if refresh else "--interval, --from or --to",
            remedy="Give it to penstock plan",
        )
    with session.project(progress=True) as project:
        name = pipeline or (expected.pipeline if expected else None)
        receipt = project.run(name, covered, plan=expected, refresh=refresh)
    return end_of_run(receipt, session.output)


@command(
    example="""
    penstock backfill flights --from 2013-01-01 --to 2013-04-01 --dry-run
    penstock backfill flights --from 2013-01-01 --to 2013-04-01 --parallel 3
    """
)
@pipeline_argument
@interval_options
@again_option
@refresh_option
@click.option("--dry-run", is_flag=True, help="Only say what would be done, as plan does.")
@click.option(
    "--parallel", type=click.IntRange(1, 32), default=1, show_default=True, help="Read so many intervals at once."
)
def backfill(
    session: Session,
    pipeline: str | None,
    covered: Interval | None,
    again: bool,
    refresh: tuple[str, ...],
    dry_run: bool,
    parallel: int,
) -> int:
    """Run PIPELINE over a range of time, interval by interval; what is done is skipped.

    A backfill that ended early is given again, and goes on where it ended. penstock intervals shows what is done,
    failed, missing and stale.
    """
    if covered is None:
        raise ConfigurationError("A backfill needs a range", remedy="Give --from 2013-01-01 --to 2013-02-01")
    if dry_run:
        with session.project() as project:
            session.output.show(project.plan(pipeline, covered, again=again, refresh=refresh), summary=True)
        return 0
    with session.project(progress=True) as project:
        receipt = project.backfill(pipeline, covered, again=again, refresh=refresh, parallel=parallel)
    return end_of_run(receipt, session.output)


@command(example="penstock intervals flights --from 2013-01-01 --to 2013-04-01")
@pipeline_argument
@interval_options
def intervals(session: Session, pipeline: str | None, covered: Interval | None) -> None:
    """Say of each table of PIPELINE which intervals are done, failed, missing or stale."""
    with session.project() as project:
        session.output.show(project.intervals(pipeline, covered))


@command(example="penstock retry --table flights")
@pipeline_argument
@click.option("--table", help="Only the rejected loads of this source.")
def retry(session: Session, pipeline: str | None, table: str | None) -> int:
    """Read the rejected loads of PIPELINE again, just those, and go on below them."""
    with session.project(progress=True) as project:
        receipt = project.retry(pipeline, table)
    return end_of_run(receipt, session.output)


def _read_plan(file: str) -> Plan:
    from pathlib import Path

    from penstock.model.codec import decode
    from penstock.model.plan import Plan

    remedy = "Make one: penstock plan --json > plan.json"
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"The plan {file} cannot be read: {error.strerror}", remedy=remedy) from error
    try:
        return decode(Plan, data, where=f"The plan {file}")
    except DataError as error:
        raise ConfigurationError(error.what, remedy=remedy) from error
