"""A small project in a folder: its project file, and what a reader of its staging warehouse sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

SETTINGS = """
[project]
name = "shop"
pipelines = ["pipeline:shop"]
[environments.staging]
lake = "data/staging/lake"
warehouse = "data/staging/warehouse.duckdb"
[environments.production]
lake = "data/production/lake"
warehouse = "data/production/warehouse.duckdb"
[connections.ops]
url = "sqlite:///ops.db"
"""
"""The project's file: one pipeline, two environments, and a SQLite database to read from."""

KILLED = """
import os, signal, sys
at = int(sys.argv[2])
passed = 0

def around(owner, name):
    original = getattr(owner, name)

    def wrapped(*arguments, **named):
        global passed
        passed += 1
        if passed == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **named)

    setattr(owner, name, wrapped)
"""
"""The beginning of a program that is killed before the step whose number it is given."""


def warehouse(folder: Path) -> Path:
    return folder / "data/staging/warehouse.duckdb"


def served(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """Return what a reader of the staging warehouse gets, moments in UTC."""
    with duckdb.connect(str(warehouse(folder)), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(query).fetchall()


def contents(folder: Path) -> dict[str, tuple[list[tuple[Any, ...]], list[str]]]:
    """Return everything that a reader sees: of each table its columns in order and its rows as a multiset."""
    tables = served(folder, "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main' ORDER BY 1")
    return {
        name: (served(folder, f'DESCRIBE "{name}"'), sorted(map(repr, served(folder, f'SELECT * FROM "{name}"'))))
        for (name,) in tables
    }
