"""The command that tests transforms."""

from __future__ import annotations

import click

from penstock.cli.command import Session, command
from penstock.errors import ConfigurationError


@command(name="test", example="penstock test delays")
@click.argument("table", required=False)
def test_(session: Session, table: str | None) -> int:
    """Compute transforms over the small rows of tests/*.toml and compare with what they expect; TABLE: only its tests.

    The engine is the real one; no source, lake or warehouse of the project is touched. Ends with 1 if a test fails.
    """
    with session.project() as project:
        report = project.test(table)
    if not report.cases:
        raise ConfigurationError(
            "There are no tests" + (f" of {table}" if table else ""),
            remedy="Write one: tests/TABLE.toml with [[case]], [case.given] and expected",
        )
    session.output.show(report)
    return 0 if report.passed else 1
