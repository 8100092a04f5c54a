"""A world whose production is served from PostgreSQL, and what its readers see there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from promote_world import World
from psycopg.conninfo import make_conninfo

from penstock.model.production import PostgresSpec
from penstock.model.specs import ConnectionSpec
from penstock.promote.ports import PromotePorts, ReleaseFiles, lake_identity
from penstock.stores.engine import LocalEngine
from penstock.stores.lake import DeltaLake
from penstock.stores.port import Lake
from penstock.stores.postgres.releases import PostgresReleases


def spec_of(url: str, schema: str = "public", **settings: float) -> PostgresSpec:
    return PostgresSpec(
        connection=ConnectionSpec(name="warehouse", kind="postgres", url=url), schema=schema, **settings
    )


@dataclass
class PostgresWorld(World):
    """A world with a database of its own."""

    spec: PostgresSpec = field(default_factory=lambda: spec_of(""))
    told: list[str] = field(default_factory=list)

    def keeping(self, **options: Any) -> PostgresReleases:
        return PostgresReleases(self.spec, self.identity, self.engine, self.told.append, **options)

    def identity(self) -> str:
        return lake_identity(DeltaLake(self.lake))

    def ports(self, production: Lake | None = None, files: ReleaseFiles | None = None) -> PromotePorts:
        return super().ports(production, files or self.keeping())

    @contextmanager
    def reading(self, **options: Any) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.spec.connection.url, **options) as connection:
            yield connection

    def served(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the warehouse, as a reader with nothing but PostgreSQL does."""
        with self.reading() as connection:
            return connection.execute(query.encode()).fetchall()

    def command(self, *statements: str) -> None:
        """Do what somebody else does in the same database."""
        with self.reading(autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def versions(self) -> list[str]:
        found = self.served(
            f"SELECT tablename::text FROM pg_tables WHERE schemaname = '{self.spec.versions}' "
            "AND tablename ~ '__[0-9a-f]{12}$' ORDER BY 1"
        )
        return [name for (name,) in found]


def database(url: str, name: str) -> str:
    """Make an empty database and return its URL."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return url.rpartition("/")[0] + f"/{name}"


def opened(root: Path, engine: LocalEngine, url: str, **settings: float) -> PostgresWorld:
    return PostgresWorld(root, engine, spec=spec_of(url, **settings))


def faces_there(url: str, schema: str = "public") -> dict[str, list[str]]:
    """Return table to rows, as readers of the published schema see them, in one transaction."""
    with psycopg.connect(make_conninfo(url), autocommit=False) as connection:
        connection.execute("SET timezone = 'UTC'")
        listed = connection.execute("SELECT viewname::text FROM pg_views WHERE schemaname = %s", (schema,)).fetchall()
        return {
            name: sorted(str(row) for row in connection.execute(f'SELECT * FROM {schema}."{name}"'.encode()))
            for (name,) in listed
        }
