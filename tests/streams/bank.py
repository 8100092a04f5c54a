"""Accounts whose balances are the sums of their entries, in databases that are written to all the time."""

from __future__ import annotations

import random
import threading
import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, Protocol

from streams.stream_project import begun, end_leases, said, served
from typed import typed


class Server(Protocol):
    """A database that is asked."""

    def execute(self, sql: str, /) -> list[tuple[Any, ...]]:
        """Run a statement; return its rows."""
        ...


class Writers(ABC):
    """Threads that write until told to stop: each transaction keeps accounts and entries equal.

    Attributes:
        errors: What is raised where another writer stood in the way, or the server is being restarted.
        written: Transactions that were committed.
    """

    errors: ClassVar[tuple[type[Exception], ...]]

    def __init__(self, server: Any, count: int = 2) -> None:
        self._server = server
        self._stop = threading.Event()
        self.written = 0
        self._threads = [threading.Thread(target=self._write, args=(seed,), daemon=True) for seed in range(count)]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @abstractmethod
    def connected(self) -> AbstractContextManager[Any]:
        """Open a connection."""

    @abstractmethod
    def once(self, connection: Any, chance: random.Random) -> None:
        """Commit a transaction; roll some others back."""

    def _write(self, seed: int) -> None:
        chance = random.Random(seed)
        while not self._stop.is_set():
            try:
                with self.connected() as connection:
                    while not self._stop.is_set():
                        self.once(connection, chance)
                        self.written += 1
            except self.errors:
                # The transaction never was.
                time.sleep(0.1)


def agreed(folder: Path, server: Server, table: str, columns: str) -> list[tuple[Any, ...]]:
    """Return the rows of a table, which are the same at the source and in the warehouse."""
    there = server.execute(f"SELECT {columns} FROM {table} ORDER BY 1")
    assert served(folder, f"SELECT {columns} FROM raw_{table} ORDER BY 1") == there, table
    return there


def killed_amid_changes(folder: Path, chance: random.Random) -> None:
    """Let the stream go on for some seconds, and kill it."""
    process = begun(folder, "stream", "shop")
    time.sleep(1.5 + 3 * chance.random())
    assert process.poll() is None, said(folder)
    process.kill()
    process.wait()
    end_leases(folder)


def levelled(folder: Path, server: Server) -> None:
    """Read to the end, and compare all tables."""
    end_leases(folder)
    done = typed(folder, "stream", "shop", "--until-end")
    assert done.returncode == 0, done.stdout + done.stderr
    for table, columns in (("accounts", "id, balance, note"), ("entries", "id, account, amount")):
        agreed(folder, server, table, columns)
    # A log has no key: what came twice would stand there twice.
    agreed(folder, server, "log", "id, text")


def consistent(folder: Path) -> None:
    """See that what stands in the warehouse is what was committed together."""
    if not (folder / "data/staging/warehouse.duckdb").exists():
        return
    names = {name for (name,) in served(folder, "SELECT table_name FROM duckdb_tables()")}
    if {"raw_accounts", "raw_entries"} <= names:
        sums = "SELECT (SELECT sum(balance) FROM raw_accounts), (SELECT coalesce(sum(amount), 0) FROM raw_entries)"
        ((balances, amounts),) = served(folder, sums)
        assert balances == amounts
