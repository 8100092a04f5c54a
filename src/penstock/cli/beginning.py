"""Commands that need no project: init, scope, ingest."""

from __future__ import annotations

from typing import Any

import click

from penstock.cli.command import Session, command


@command(example="penstock init flights --template flights")
@click.argument("folder", metavar="DIR")
@click.option("--template", default="empty", show_default=True, metavar="NAME", help="What it begins with.")
def init(session: Session, folder: str, template: str) -> None:
    """Make a project in the folder DIR, which must be empty or not there yet."""
    from penstock.cli.templates import copy_template

    session.output.show(copy_template(template, folder))


@command(
    example="""
    penstock scope ops                            # a connection of the project
    penstock scope 'sqlite:///ops.db?table=flights'
    penstock scope 'planes/*.csv'
    """
)
@click.argument("uri")
@click.option("--table", help="Only this table.")
def scope(session: Session, uri: str, table: str | None) -> None:
    """Say what can be read at URI: tables, columns, rows, and which pattern of reading fits.

    URI is a URL, a path, a glob, or the name of a connection of the project.
    """
    from penstock.cli.places import project_or_none

    with project_or_none(session) as project:
        if project is not None:
            found = project.scope(uri, table)
        else:
            from pathlib import Path

            from penstock.orchestrate import scoping

            found = scoping.scope(uri, table, {}, Path.cwd())
    session.output.show(found, empty=f"There is nothing to read at {uri}.")


@command(example="penstock ingest 'sqlite:///ops.db?table=flights' --to warehouse.duckdb")
@click.argument("uri")
@click.option("--to", required=True, metavar="FILE", help="The DuckDB file; made if need be.")
@click.option("--table", help="The table's name; default: the name in URI.")
@click.option("--write", type=click.Choice(["replace", "append", "merge"]), help="How the table changes.")
@click.option("--key", multiple=True, metavar="COLUMN", help="A column of the key; may be repeated.")
@click.option("--cursor", metavar="COLUMN", help="The column that says how far was read.")
@click.option("--lag", metavar="TIME", help="How far behind the cursor reading starts again, as 2h.")
@click.option(
    "--on-null-cursor",
    type=click.Choice(["include", "exclude", "raise"]),
    help="What becomes of rows without a cursor value.",
)
@click.option("--horizon", is_flag=True, help="PostgreSQL: find late commits by transactions instead of a lag.")
@click.option("--on-empty", type=click.Choice(["empty", "refuse"]), help="What an empty source does to the table.")
@click.option(
    "--nested",
    type=click.Choice(["columns", "tables", "json"]),
    help="How nested values stand in the table: as they came, as child tables, or as JSON.",
)
@click.option(
    "--contract", type=click.Choice(["evolve", "freeze", "discard"]), help="What columns and types may do later."
)
@click.option("--memory", metavar="SIZE", help="What the whole process may hold, as 2GiB; default: 1GiB.")
@click.option("--no-raw", is_flag=True, help="Keep no raw zone beside the warehouse.")
def ingest(session: Session, uri: str, to: str, table: str | None, no_raw: bool, **reading: Any) -> int:
    """Bring one URI into one table of a DuckDB file; no project needed.

    The rows are kept as they came in a raw zone beside the file, named after it with the ending .lake.
    """
    from penstock.cli.codes import code_of_run
    from penstock.project import ingest as bring

    wanted: dict[str, Any] = {name: list(value) if name == "key" else value for name, value in reading.items() if value}
    with session.progress() as observer:
        receipt = bring(uri, to=to, table=table, raw=not no_raw, observer=observer, **wanted)
    session.output.show(receipt)
    return code_of_run(receipt.run)
