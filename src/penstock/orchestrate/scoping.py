"""Scope: what is there to read, and by which pattern."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from penstock import plugins
from penstock.config.connections import DATABASES, GivenConnection, connection_from_table, connection_from_url
from penstock.errors import ConfigurationError
from penstock.extract.files.listing import format_of
from penstock.extract.files.places.opening import remote
from penstock.extract.port import Request, TableDescription
from penstock.load.layout import Limits, layout
from penstock.model.specs import ConnectionSpec, Nested, SourceSpec
from penstock.schema import parse


def scope(
    uri: str, table: str | None, connections: Mapping[str, ConnectionSpec], root: str | Path
) -> tuple[TableDescription, ...]:
    """Describe what can be read at a URI, a path or a connection.

    Args:
        uri: ``sqlite:///ops.db``, ``postgresql://…``, ``mysql://…``, ``https://…``, ``s3://bucket/in/*.csv``, a path or
            glob, or the name of a connection.
        table: Only this table.
        connections: The project's connections.
        root: The folder against which relative paths are resolved.
    """
    source, connection = resolve(uri, table, connections)
    request = Request(source=source, connection=connection, root=str(root))
    kind = connection.kind if source.kind == "sql" and connection else source.kind
    described: tuple[TableDescription, ...] = plugins.find("source", kind)().describe(request)
    return tuple(replace(table, children=_children(table)) for table in described)


def _children(table: TableDescription) -> tuple[str, ...]:
    """Return what the names of its child tables would add; none where its types are not those of DuckDB."""
    types = {}
    for name, type_ in table.columns.items():
        with suppress(ValueError):
            types[name] = parse(type_)
    source = SourceSpec(table="", kind="")
    found = layout(types, Nested.TABLES, Limits(source.max_depth, source.max_child_tables))
    return tuple(child.suffix for child in found.children)


def resolve(
    uri: str, table: str | None, connections: Mapping[str, ConnectionSpec]
) -> tuple[SourceSpec, ConnectionSpec | None]:
    """Return the source and connection that a URI means; ``?table=`` or ``?query=`` in it says what is read."""
    if uri in connections:
        connection = connections[uri]
        options = {"table": table} if table and connection.kind in DATABASES else {}
        return _spec(connection, table or uri, options), connection
    parts = urlsplit(uri)
    if parts.scheme in ("", "file") or len(parts.scheme) == 1:
        path = parts.path if parts.scheme == "file" else uri
        return SourceSpec(table=table or _stem(path), kind="files", options={"path": path}), None
    if _is_of_files(uri, parts.path):
        connection = connection_from_table("source", GivenConnection(uri, "files"), None, "the URL")
        return _spec(connection, table or _stem(parts.path), {}), connection
    query = dict(parse_qsl(parts.query))
    wanted: dict[str, str] = {name: query.pop(name) for name in ("table", "query") if name in query}
    kept = "&".join(f"{name}={value}" for name, value in query.items())
    plain = urlunsplit(parts._replace(query=kept))
    if parts.scheme.startswith(("sqlite", "duckdb", "access")) and not parts.netloc:
        plain = f"{parts.scheme}://{parts.path if parts.path.startswith('/') else '/' + parts.path}"
    connection = connection_from_url(table or "source", plain)
    if table and not wanted:
        wanted = {"table": table}
    name = table or wanted.get("table", "").rpartition(".")[2] or _stem(parts.path)
    return _spec(connection, name, dict(wanted)), connection


def _is_of_files(uri: str, path: str) -> bool:
    """Say whether a URL means files: those of stores do, those of web servers if their ending tells a format of files.

    JSON of a web server is more often the answer of an API.
    """
    if not remote(uri):
        return False
    return not uri.lower().startswith(("http:", "https:")) or format_of(path) not in (None, "json")


def _spec(connection: ConnectionSpec, name: str, options: dict[str, str]) -> SourceSpec:
    if connection.kind in DATABASES:
        return SourceSpec(table=name, kind="sql", connection=connection.name, options=options)
    if connection.kind == "rest":
        return SourceSpec(table=name, kind="rest", connection=connection.name, options={"path": ""})
    if connection.kind == "files":
        return SourceSpec(table=name, kind="files", connection=connection.name, options={"path": "."})
    raise ConfigurationError(
        f"Connection {connection.name!r} is of a kind that cannot be read",
        value=connection.kind,
        valid=(*DATABASES, "rest", "files"),
    )


def _stem(path: str) -> str:
    name = Path(path).name
    for part in ("*", "?", "["):
        if part in name:
            name = Path(path).parent.name
    stem = name.partition(".")[0] or "data"
    return "".join(letter if letter.isalnum() else "_" for letter in stem)
