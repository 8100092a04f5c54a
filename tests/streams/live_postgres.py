"""A project whose stream is live and whose production is a PostgreSQL, and what readers of that see."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from stream_project import PIPELINE, SETTINGS, made

LIVE = PIPELINE.replace('"every": "200ms"', '"every": "200ms", "live": True')


def live_project(folder: Path, url: str, pipeline: str = LIVE) -> Path:
    """Make the project."""
    return made(folder, pipeline, SETTINGS.replace("data/production/warehouse.duckdb", url))


def database(url: str, name: str) -> str:
    """Make an empty database and return its URL."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return url.rpartition("/")[0] + f"/{name}"


def asked(url: str, query: str) -> list[tuple[Any, ...]]:
    """Return what a reader gets who has PostgreSQL and nothing else."""
    with psycopg.connect(make_conninfo(url), autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


def numbers(url: str) -> Counter[Any]:
    """Return the numbers of the events that are there, with how often each is."""
    return Counter(n for (n,) in asked(url, "SELECT n FROM clicks"))


def relations(url: str) -> list[str]:
    """Return the tables with rows of live tables, also what is left over."""
    found = asked(url, "SELECT tablename::text FROM pg_tables WHERE schemaname = 'penstock_public' ORDER BY 1")
    return [name for (name,) in found if "__live_" in name]
