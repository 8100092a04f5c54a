"""The command doctor."""

from __future__ import annotations

import click

from penstock.cli.command import Session, command


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
