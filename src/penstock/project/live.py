"""The live tables of an opened project."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

    from penstock.config.project import ProjectConfig
    from penstock.model.answers import LiveRollback
    from penstock.model.specs import PipelineSpec
    from penstock.orchestrate.workspace import Workspace


class Live:
    """Tables that streams write straight to production.

    Args:
        workspace: The opened places.
        pipelines: Gives the pipelines by name.
    """

    def __init__(self, workspace: Workspace, pipelines: Callable[[], Mapping[str, PipelineSpec]]) -> None:
        self._workspace = workspace
        self._pipelines = pipelines

    def rollback(self, table: str, to: int, *, reason: str, by: str | None = None) -> LiveRollback:
        """Let a live table hold the rows of its loads up to ``to``, and of those that come from now on."""
        from penstock.orchestrate.streaming import withdrawing

        return withdrawing.rollback(self._workspace, self._pipelines(), table, to, reason=reason, by=by)


def connect(folder: str | Path | None = None) -> duckdb.DuckDBPyConnection:
    """Return a connection to what production serves now: the tables of its release, and the live ones.

    Everything is read-only. The connection goes on showing this moment; connect again to see what came since.

    Args:
        folder: The project's folder, or any below it; None: the current one.

    Raises:
        ConfigurationError: There is no project; production is served by PostgreSQL.
        NotFoundError: Nothing has been released and no live table written yet.
        ConflictError: Two tables have one name.
    """
    from penstock.config.project import find_project, load_project

    return _connected(load_project(find_project(folder)))


def _connected(config: ProjectConfig) -> duckdb.DuckDBPyConnection:
    import duckdb

    from penstock.errors import ConfigurationError, ConflictError, NotFoundError
    from penstock.queries.text import identifier, literal
    from penstock.stores.live_files import tables_in

    production = config.environments["production"]
    if production.postgres is not None:
        raise ConfigurationError(
            f"Production is served by {production.postgres.shown}",
            remedy="Connect to it with any client of PostgreSQL",
        )
    places = {"penstock_release": Path(production.warehouse)}
    places |= {f"penstock_live_{table}": path for table, path in tables_in(production.warehouse).items()}
    there = {alias: path for alias, path in places.items() if path.exists()}
    if not there:
        raise NotFoundError(
            f"Production of {config.name!r} serves nothing yet",
            remedy="penstock diff, approve and promote make a release; penstock stream writes live tables",
        )
    connection = duckdb.connect()
    shown: dict[str, str] = {}
    try:
        for alias, path in there.items():
            connection.execute(f"ATTACH {literal(str(path))} AS {identifier(alias)} (READ_ONLY)")
            for (table,) in connection.execute(
                "SELECT table_name FROM duckdb_tables() WHERE database_name = ? AND schema_name = 'main' UNION ALL "
                "SELECT view_name FROM duckdb_views() WHERE database_name = ? AND NOT internal",
                [alias, alias],
            ).fetchall():
                if shown.setdefault(table.lower(), table) is not table:
                    raise ConflictError(
                        "Production serves two tables whose names are one to DuckDB, of a release or live",
                        value=f"{shown[table.lower()]}, {table}",
                        remedy=f"Give one another name, or open the files themselves: {path.parent}",
                    )
                connection.execute(
                    f"CREATE VIEW {identifier(table)} AS FROM {identifier(alias)}.main.{identifier(table)}"
                )
    except BaseException:
        connection.close()
        raise
    return connection
