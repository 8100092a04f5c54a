"""Whole schemas become sources: which tables a database has, and how each of them is read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from penstock import plugins
from penstock.config.connections import DATABASES
from penstock.errors import ConfigurationError
from penstock.extract.port import Request
from penstock.model.capture import DATABASE_OF
from penstock.model.declared import verify
from penstock.model.reading import read_as
from penstock.model.reading_changes import changed
from penstock.model.specs import PipelineSpec, SchemaSpec, SourceSpec, SourceTable
from penstock.names import check_table_name, unknown
from penstock.orchestrate.workspace import Workspace


def expand(workspace: Workspace, spec: PipelineSpec, *, afresh: bool) -> PipelineSpec:
    """Return a pipeline whose schemas have become sources.

    Args:
        workspace: Where it runs.
        spec: The pipeline.
        afresh: Whether the databases are asked; else what they had when they were last asked serves.

    Raises:
        ConfigurationError: No table fits, a table cannot be read as was asked, or two get one name.
        TransientError: A database must be asked and is down.
    """
    if not spec.schemas:
        return spec
    sources = list(spec.sources)
    for schema in spec.schemas:
        tables = _tables(workspace, schema, afresh=afresh)
        sources += sources_of(schema, tables, workspace.connections[schema.connection].kind)
    expanded = replace(spec, sources=tuple(sources), schemas=())
    verify(expanded)
    return expanded


def sources_of(schema: SchemaSpec, tables: Sequence[SourceTable], database: str = "postgres") -> list[SourceSpec]:
    """Return a source for each table that fits; what is asked of a table by name must be there.

    Args:
        schema: What is declared.
        tables: The tables that there are.
        database: The kind of the connection.

    Raises:
        ConfigurationError: See ``expand``.
    """
    where = f"connection {schema.connection!r}"
    for pattern in (*schema.tables, *schema.exclude, *schema.overrides):
        if not _is_pattern(pattern) and not any(_fits(table.name, (pattern,)) for table in tables):
            raise unknown("table", pattern, [table.name for table in tables], where=where)
    chosen = [t for t in tables if _fits(t.name, schema.tables) and not _fits(t.name, schema.exclude)]
    if schema.changes is not None:
        # A view has no changes, and those of a table without a key do not say which row they are of.
        chosen = [table for table in chosen if table.key or table.name in schema.tables]
    if not chosen:
        raise ConfigurationError(
            f"No table of {where} fits", value=list(schema.tables), valid=[table.name for table in tables] or "none"
        )
    names = _names(chosen, schema.prefix)
    return [_source(schema, table, names[table.name], database) for table in chosen]


def _tables(workspace: Workspace, schema: SchemaSpec, *, afresh: bool) -> tuple[SourceTable, ...]:
    known = workspace.catalog.schema(schema.connection)
    if known and not afresh:
        return known
    connection = workspace.connections[schema.connection]
    source = plugins.find("source", connection.kind)()
    if not hasattr(source, "tables"):
        raise ConfigurationError(
            f"Connection {schema.connection!r} has no tables to be listed", value=connection.kind, valid=DATABASES
        )
    asked = SourceSpec(table="schema", kind="sql", connection=schema.connection)
    listed: tuple[SourceTable, ...] = source.tables(Request(source=asked, connection=connection, root=workspace.root))
    names = {table.name for table in listed}
    # A table that is gone stays a source and fails as such, until it is excluded: it is not forgotten in silence.
    found = tuple(sorted((*listed, *(t for t in known if t.name not in names)), key=lambda table: table.name))
    if found != known:
        workspace.catalog.put_schema(schema.connection, found)
    return found


def _source(schema: SchemaSpec, table: SourceTable, name: str, database: str) -> SourceSpec:
    own = next((given for known, given in schema.overrides.items() if _fits(table.name, (known,))), {})
    reading: dict[str, Any] = {**schema.reading, **own}
    for argument in ("cursor", "interval"):
        column = reading.get(argument)
        if argument not in own and column is not None and column not in table.columns:
            reading.pop(argument)
    if "cursor" not in reading and "lag" not in own:
        reading.pop("lag", None)
    if table.key:
        reading.setdefault("key", table.key)
    reading.setdefault("write", "merge" if "key" in reading else "replace" if schema.changes is None else "append")
    if schema.changes is not None:
        kind = next((kind for kind, of in DATABASE_OF.items() if of == database), "postgres_changes")
        return changed(name, schema.connection, {**schema.changes, "table": table.name}, reading, kind)
    bare = SourceSpec(table=name, kind="sql", connection=schema.connection, options={"table": table.name})
    if reading["write"] == "replace":
        reading = {argument: value for argument, value in reading.items() if argument not in ("cursor", "lag")}
    return read_as(bare, reading)


def _names(tables: Iterable[SourceTable], prefix: str) -> dict[str, str]:
    """Map tables to names in Penstock: without their schema where that is clear."""
    found: dict[str, str] = {}
    taken: dict[str, str] = {}
    listed = list(tables)
    short = [_plain(table.name.rpartition(".")[2]).lower() for table in listed]
    for table, bare in zip(listed, short, strict=True):
        name = prefix + _plain(table.name if short.count(bare) > 1 else table.name.rpartition(".")[2])
        if name.lower() in taken:
            raise ConfigurationError(
                f"The tables {taken[name.lower()]!r} and {table.name!r} would get one name",
                value=name,
                remedy="Exclude one, and read it by sources.sql(…, name=…)",
            )
        taken[name.lower()] = table.name
        found[table.name] = check_table_name(name, where=f"The table {table.name!r}")
    return found


def _plain(name: str) -> str:
    plain = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f"_{plain}" if plain[:1].isdigit() else plain


def _is_pattern(text: str) -> bool:
    return any(mark in text for mark in "*?[")


def _fits(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
