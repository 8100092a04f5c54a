"""Reading changes of a database without a project, and projects whose tables are kept up by changes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from penstock.extract.port import ArrowBatch
from penstock.extract.streams.changes.mysql.source import MySqlChanges
from penstock.extract.streams.changes.port import Capture, CaptureOpening, Taken
from penstock.extract.streams.changes.postgres.source import PostgresChanges
from penstock.model.specs import ConnectionSpec, SourceSpec
from penstock.sources import mysql_changes, postgres_changes
from servers.mariadb import TRUSTED_PASSWORD, MariaServer
from servers.postgres import PostgresServer
from streams.stream_project import SETTINGS, made

SERVERS = ["mariadb_log", "mysql"]
"""The fixtures of servers that tell their changes by a binary log."""


def cleared(server: MariaServer) -> MariaServer:
    """Return a server whose databases are empty; its binary log goes on."""
    server.execute("DROP DATABASE IF EXISTS ops", "DROP DATABASE IF EXISTS shop", "CREATE DATABASE shop")
    return server


def followed(table: str, **reading: Any) -> SourceSpec:
    """Return a table of MariaDB or MySQL that is kept up by its changes."""
    return mysql_changes("db", table=table, **reading)


def emptied(server: PostgresServer) -> PostgresServer:
    """Return a server without tables, publications and slots."""
    server.execute("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active AND NOT temporary")
    for (slot,) in server.execute("SELECT slot_name FROM pg_replication_slots WHERE NOT temporary"):
        _dropped(server, str(slot))
    for (name,) in server.execute("SELECT pubname FROM pg_publication"):
        server.execute(f'DROP PUBLICATION "{name}"')
    others = "nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'"
    # One after the other: thousands of tables take more locks than a transaction may hold.
    for (name,) in server.execute(f"SELECT nspname FROM pg_namespace WHERE {others}"):
        server.execute(f'DROP SCHEMA "{name}" CASCADE')
    server.execute("CREATE SCHEMA public")
    return server


def _dropped(server: PostgresServer, slot: str) -> None:
    import psycopg

    while True:
        try:
            server.execute("SELECT pg_drop_replication_slot(%s)", (slot,))
        except psycopg.errors.ObjectInUse:
            continue
        return


@contextlib.contextmanager
def capturing(
    server: PostgresServer | MariaServer, sources: Sequence[SourceSpec], positions: Mapping[str, Any] | None = None
) -> Iterator[Capture]:
    """Open a reading."""
    found = MySqlChanges() if isinstance(server, MariaServer) else PostgresChanges()
    opening = CaptureOpening(
        sources=tuple(sources),
        connection=connected(server),
        pipeline="shop",
        positions=positions or dict.fromkeys(source.table for source in sources),
    )
    with contextlib.closing(found.capture(opening)) as capture:
        yield capture


def connected(server: PostgresServer | MariaServer) -> ConnectionSpec:
    """Return the connection ``db`` to a server."""
    if isinstance(server, PostgresServer):
        return ConnectionSpec(name="db", kind="postgres", url=server.url())
    return ConnectionSpec(
        name="db", kind="mysql", url=server.url(password=None), secrets={"password": TRUSTED_PASSWORD}
    )


def source(table: str, **reading: Any) -> SourceSpec:
    """Return a table that is kept up by its changes."""
    return postgres_changes("db", table=table, **reading)


def whole(capture: Capture, table: str) -> pa.Table:
    """Return what the first reading of a table gives."""
    with contextlib.closing(capture.whole(table)) as read:
        batches = [batch.data for batch in read.batches() if isinstance(batch, ArrowBatch)]
        schema = read.schema
    return pa.Table.from_batches(batches, schema if not batches else batches[0].schema)


def taken(capture: Capture) -> tuple[dict[str, pa.Table], int]:
    """Return all changes that are committed by now, table by table, and the position behind them."""
    end, into = capture.end(), Taken()
    while not (capture.settle(into) and into.following >= end):
        capture.take(into, 2**20, 0.2)
    rows = {
        table: pa.concat_tables([pa.Table.from_batches([batch]) for batch in held.batches()], promote_options="default")
        for table, held in into.rows.items()
    }
    into.close()
    return rows, into.following


def project(folder: Path, server: PostgresServer | MariaServer, sources: str) -> Path:
    """Make a project whose pipeline ``shop`` has these sources, of a connection ``db``."""
    pipeline = (
        f"from penstock import Pipeline, checks, sources, sql\nshop = Pipeline(name='shop', sources=[{sources}])\n"
    )
    place = connected(server)
    settings = SETTINGS.replace("pipeline:clicks", "pipeline:shop") + f'\n[connections.db]\nurl = "{place.url}"\n'
    settings += "".join(f'{name} = "{secret}"\n' for name, secret in place.secrets.items())
    return made(folder, pipeline, settings)
