"""Production's warehouse where it is a PostgreSQL database: by its URL, or by the name of a connection."""

from __future__ import annotations

import re
from collections.abc import Mapping

from penstock.config.connections import connection_from_url
from penstock.errors import ConfigurationError
from penstock.model.production import PostgresSpec
from penstock.model.specs import ConnectionSpec
from penstock.values import dataclass

_LONGEST_SCHEMA = 63 - len("penstock_")
"""Bytes of a schema's name: that of the versions is longer."""


@dataclass(frozen=True, slots=True)
class Locks:
    """What production says beside the warehouse: the schema, and how views are replaced."""

    schema: str
    timeout: float
    wait: float


def postgres_from(
    warehouse: str, connections: Mapping[str, ConnectionSpec], locks: Locks, where: str
) -> PostgresSpec | None:
    """Return the database that a warehouse names; None where it names a file.

    Args:
        warehouse: A URL, the name of a connection, or a file.
        connections: The connections of the project.
        locks: What is said beside it.
        where: Where it was written, for messages.

    Raises:
        ConfigurationError: The connection is of another kind; the schema's name is too long.
    """
    known = connections.get(warehouse)
    if known is None and not re.match(r"postgres(ql)?(\+\w+)?://", warehouse):
        if "://" in warehouse and not warehouse.startswith(("file:", "duckdb:")):
            raise ConfigurationError(
                f"{where} is of no kind that serves production",
                value=warehouse.partition("://")[0],
                valid="a DuckDB file, postgresql://user@host:5432/database, or the name of such a connection",
            )
        return None
    found = known or connection_from_url("production warehouse", warehouse)
    if found.kind != "postgres":
        raise ConfigurationError(
            f"{where} names a connection that is no PostgreSQL database", value=found.kind, valid="kind postgres"
        )
    size = len(locks.schema.encode())
    if size > _LONGEST_SCHEMA or locks.schema.startswith("pg_"):
        raise ConfigurationError(
            f"{where.replace('warehouse', 'postgres_schema')} is no name for a schema of releases",
            value=locks.schema,
            valid=f"up to {_LONGEST_SCHEMA} bytes, not beginning with pg_",
        )
    return PostgresSpec(connection=found, schema=locks.schema, lock_timeout=locks.timeout, lock_wait=locks.wait)
