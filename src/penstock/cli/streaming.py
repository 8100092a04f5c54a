"""The command that consumes streams."""

from __future__ import annotations

import gc

import click

from penstock.cli.codes import end_of_run
from penstock.cli.command import Session, command
from penstock.cli.running import pipeline_argument
from penstock.cli.stopping import was_told

_ALLOCATIONS = 100_000
"""Objects made between two searches for cycles: a micro-batch has messages by the ten thousand, and no cycles."""


@command(
    example="""
    penstock stream clicks
    penstock stream clicks --until-end --json
    penstock stream clicks --share
    """
)
@pipeline_argument
@click.option("--table", multiple=True, metavar="TABLE", help="Only this stream; may be repeated.")
@click.option("--until-end", is_flag=True, help="End once everything is there that was at the source at the beginning.")
@click.option("--forget", is_flag=True, help="Read nothing; drop the replication slots that were made for it.")
@click.option("--retry", is_flag=True, help="Read again the messages of a load that was rejected.")
@click.option("--share", is_flag=True, help="Read a share of the partitions: others with --share read the rest.")
def stream(session: Session, pipeline: str | None, table: tuple[str, ...], **asked: bool) -> int:
    """Consume the streams of PIPELINE in micro-batches: land, check, load; goes on until told to stop.

    Ctrl-C and SIGTERM end it in order: what was read is landed, checked and loaded first. Each message counts once,
    whatever dies. Runs of the same pipeline go on beside it. Ends with 3 if a micro-batch was rejected. With --forget
    databases keep no changes for PIPELINE any more; its next reading is told of that, see on_gap.
    """
    if asked.pop("forget"):
        with session.project() as project:
            session.output.show(project.forget(pipeline))
        return 0
    with session.project(progress=True) as project:
        gc.set_threshold(_ALLOCATIONS)
        receipt = project.stream(pipeline, table, told=was_told, **asked)
    return end_of_run(receipt, session.output)


@command(example="penstock lag clicks")
@pipeline_argument
def lag(session: Session, pipeline: str | None) -> None:
    """Say how fresh the streams of PIPELINE are (default: all): commits, seconds from message to row, partitions."""
    with session.project() as project:
        session.output.show(project.lags(pipeline), empty="There is no stream: sources.tail(…) or sources.kafka(…).")
