"""Commands of training sets: dataset build, verify, list."""

from __future__ import annotations

import click

from penstock.cli.command import Session, command, group
from penstock.cli.groups import CommandEntry
from penstock.errors import DataError


@group(
    entries=(
        CommandEntry("build", "penstock.cli.datasets:build", "Build a training set from the production release."),
        CommandEntry("verify", "penstock.cli.datasets:verify", "Check every shard against the manifest."),
        CommandEntry("list", "penstock.cli.datasets:listed", "List the training sets."),
    ),
    example="penstock dataset build delay",
)
def dataset() -> None:
    """Build, verify and list training sets."""


@command(name="build", example="penstock dataset build delay")
@click.argument("name", required=False)
@click.option("--pipeline", help="The pipeline, where there are several.")
def build(session: Session, name: str | None, pipeline: str | None) -> None:
    """Build the training set NAME from the production release; says so if it is there already."""
    with session.project(progress=True) as project:
        receipt = project.build_dataset(name, pipeline)
    session.output.show(receipt)


@command(name="verify", example="penstock dataset verify delay")
@click.argument("name")
@click.option("--version", metavar="VERSION", help="Default: the newest.")
def verify(session: Session, name: str, version: str | None) -> int:
    """Check every shard of the training set NAME against its manifest.

    Ends with 3 if anything differs.
    """
    with session.project() as project:
        receipt = project.verify_dataset(name, version)
    session.output.show(receipt)
    return 0 if receipt.sound else DataError.exit_code


@command(name="list", example="penstock dataset list")
def listed(session: Session) -> None:
    """List the training sets that were built."""
    with session.project() as project:
        session.output.show(project.datasets(), empty="No training set was built yet: penstock dataset build NAME.")
