"""The command that consumes streams."""

from __future__ import annotations

import click

from penstock.cli.codes import end_of_run
from penstock.cli.command import Session, command
from penstock.cli.running import pipeline_argument


@command(
    example="""
    penstock stream clicks
    penstock stream clicks --until-end --json
    """
)
@pipeline_argument
@click.option("--table", multiple=True, metavar="TABLE", help="Only this stream; may be repeated.")
@click.option("--until-end", is_flag=True, help="End once everything is there that was at the source at the beginning.")
@click.option("--retry", is_flag=True, help="Read again the messages of a load that was rejected.")
def stream(session: Session, pipeline: str | None, table: tuple[str, ...], until_end: bool, retry: bool) -> int:
    """Consume the streams of PIPELINE in micro-batches: land, check, load; goes on until told to stop.

    Ctrl-C and SIGTERM end it in order: what was read is landed, checked and loaded first. Each message counts once,
    whatever dies. Runs of the same pipeline go on beside it. Ends with 3 if a micro-batch was rejected.
    """
    with session.project(progress=True) as project:
        receipt = project.stream(pipeline, table, until_end=until_end, retry=retry)
    return end_of_run(receipt, session.output)
