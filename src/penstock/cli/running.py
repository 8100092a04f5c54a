"""Commands that plan and run: plan, run, backfill, retry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from penstock.cli.codes import end_of_run
from penstock.cli.command import Session, command
from penstock.cli.places import chosen_interval, interval_options
from penstock.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from penstock.model.plan import Plan

pipeline_argument = click.argument("pipeline", required=False)


@command(example="penstock plan flights --interval 2013-01-01/2013-04-01")
@pipeline_argument
@interval_options
@click.option("--summary", is_flag=True, help="One line per kind of step instead of one per step.")
def plan(
    session: Session, pipeline: str | None, interval: str | None, start: str | None, end: str | None, summary: bool
) -> None:
    """Say what a run of PIPELINE would do and why; nothing is written and no source is asked.

    PIPELINE may be left out where there is only one. Keep the plan with --json and give it to run --plan.
    """
    with session.project() as project:
        planned = project.plan(pipeline, chosen_interval(interval, start, end))
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
@click.option("--plan", "plan_file", metavar="FILE", help="Refuse to run if anything has moved since this plan.")
def run(
    session: Session,
    pipeline: str | None,
    interval: str | None,
    start: str | None,
    end: str | None,
    plan_file: str | None,
) -> int:
    """Run PIPELINE: extract what is due, land it, check it, load it, transform it, check again.

    Work that is done is not done again. Ends with 3 if a load was rejected.
    """
    expected = _read_plan(plan_file) if plan_file else None
    with session.project(progress=True) as project:
        receipt = project.run(
            pipeline or (expected.pipeline if expected else None), chosen_interval(interval, start, end), plan=expected
        )
    return end_of_run(receipt, session.output)


@command(example="penstock backfill flights --from 2013-01-01 --to 2013-04-01")
@pipeline_argument
@interval_options
@click.option("--again", is_flag=True, help="Read intervals again that are done; their rows are replaced.")
def backfill(
    session: Session, pipeline: str | None, interval: str | None, start: str | None, end: str | None, again: bool
) -> int:
    """Run PIPELINE over a range of time, interval by interval; what is done is skipped."""
    wanted = chosen_interval(interval, start, end)
    if wanted is None:
        raise ConfigurationError("A backfill needs a range", remedy="Give --from 2013-01-01 --to 2013-02-01")
    with session.project(progress=True) as project:
        receipt = project.backfill(pipeline, wanted, again=again)
    return end_of_run(receipt, session.output)


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
