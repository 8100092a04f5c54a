"""Runs an action on copies of a project and of its database, each killed at the next write, until one ends by itself.

As a script: ``postgres_crash_driver.py BASE CASES URL ACTION STEP``: every ``STEP``-th moment
before or after a write is tried. A case has its folder and a database of its own, made from the one of ``URL``. The
last case is the one that was not killed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import psycopg
from crash_driver import _FILES, Boundary, Counted, CountedLake, act, warm
from postgres_world import PostgresWorld, opened
from promote_world import small_engine

_WRITES = ("INSERT", "DELETE", "CREATE", "DROP", "DO", "BEGIN", "ANALYZE", "COMMIT", "SET LOCAL")


def case_url(url: str, number: int) -> str:
    return f"{url}_{number:03}"


def run(root: Path, url: str, action: str, deadly: int) -> int:
    """Do it, and die before or after a write; 0 never does. Returns how many there were."""
    boundary = Boundary(deadly, fine=True)
    _count_statements(boundary)
    with small_engine() as engine:
        world: PostgresWorld = opened(root, engine, url, lock_timeout=0.5, lock_wait=60)
        files: Any = Counted(world.keeping(), _FILES, boundary)
        act(action, world.ports(CountedLake(world.lake, boundary), files), world)
    return boundary.passed


def _count_statements(boundary: Boundary) -> None:
    """Make each statement that writes a boundary, and each piece of a COPY."""
    execute, write = psycopg.Connection.execute, psycopg.Copy.write

    def executed(self: Any, query: Any, *arguments: Any, **named: Any) -> Any:
        text = query.decode() if isinstance(query, bytes) else str(query)
        if text.lstrip().startswith(_WRITES):
            return boundary.around(execute)(self, query, *arguments, **named)
        return execute(self, query, *arguments, **named)

    psycopg.Connection.execute = executed  # type: ignore[method-assign]
    psycopg.Copy.write = boundary.around(write)  # type: ignore[method-assign]


def prepared(base: Path, cases: Path, url: str, number: int) -> Path:
    """Copy the project and its database."""
    case = cases / f"{number:03}"
    subprocess.run(["cp", "-a", str(base), str(case)], check=True)
    name = url.rpartition("/")[2]
    with psycopg.connect(f"{url.rpartition('/')[0]}/postgres", autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}_{number:03}" WITH (FORCE)'.encode())
        connection.execute(f'CREATE DATABASE "{name}_{number:03}" TEMPLATE "{name}"'.encode())
    return case


def alone(url: str) -> None:
    """Wait until the server has noticed that a session's client is dead."""
    until = time.monotonic() + 30
    with psycopg.connect(url, autocommit=True) as connection:
        query = b"SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        while connection.execute(query).fetchall():
            assert time.monotonic() < until, "a session of a killed process stays"
            time.sleep(0.01)


def forked(case: Path, url: str, action: str, deadly: int) -> int:
    child = os.fork()
    if not child:
        code = 1
        try:
            run(case, url, action, deadly)
            code = 0
        except BaseException:
            # Nobody else would hear of it.
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return status


def main(base: Path, cases: Path, url: str, action: str, step: int) -> int:
    number, deadly = 0, 1
    while True:
        number += 1
        case = prepared(base, cases, url, number)
        status = forked(case, case_url(url, number), action, deadly)
        alone(case_url(url, number))
        if not os.WIFSIGNALED(status):
            return os.waitstatus_to_exitcode(status)
        deadly += step


if __name__ == "__main__":
    warm()
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5])))
