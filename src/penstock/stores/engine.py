"""The local engine: one DuckDB in memory for the process, with one bound of memory and no way out to the network."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import duckdb

from penstock.catalog.holders import this_process
from penstock.schema import TRUSTED_JSON
from penstock.stores.trusting import trusted_json

SPILL = "penstock-"
"""How the names of folders begin, in the system's temporary one, into which DuckDB spills."""
SHARED_MEMORY = "/dev/shm"
"""Where files of Linux lie in memory: such folders are made there for what must touch no disk."""
OWNER = "owner"
"""The file in such a folder that says whose it is; see ``catalog.holders``."""
DEFAULT_MEMORY = 512 * 2**20
LEAST_MEMORY = 96 * 2**20
"""What is never lent: a join of narrow rows still works, and spills."""

_SETTINGS = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "preserve_insertion_order": "true",
    # A checkpoint holds all row groups in memory that it unites: few at a time, the others at the next one.
    "max_vacuum_tasks": "1",
    # A commit that writes the tables at once writes no log of the same rows before.
    "checkpoint_threshold": "1KB",
}


class LocalEngine:
    """Lends connections to one in-memory DuckDB; opened at the first use.

    Args:
        memory: Bytes that DuckDB may hold before it spills to ``spill``.
        threads: Worker threads; None takes the machine's cores.
        spill: Folder for spilled data; None takes a fresh folder of the system's temporary one.
    """

    def __init__(self, memory: int = DEFAULT_MEMORY, threads: int | None = None, spill: str | None = None) -> None:
        self.memory = memory
        self.threads = threads or os.cpu_count() or 1
        self._spill = spill
        self._lock = Lock()
        self._lent = 0
        self._alone = 0
        self._database: duckdb.DuckDBPyConnection | None = None
        self._trusting = False
        self._warming: Thread | None = None
        self._shows_progress = False
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @contextmanager
    def session(self, *, plain: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """Lend a connection to one thread; its temporary tables and registered objects vanish at the end.

        Args:
            plain: See the port; DuckDB imports numpy for any function of Python.
        """
        connection = self._open(trusting=not plain).cursor()
        try:
            if self._shows_progress:
                connection.execute("SET enable_progress_bar = false")
            yield connection
        finally:
            connection.close()

    def warm(self) -> None:
        """Open the database in a thread of its own, while whoever is going to need it does something else."""
        if self._warming is None:
            self._warming = Thread(target=self._warm, name="penstock-engine")
            self._warming.start()

    def _warm(self) -> None:
        # What hinders it will hinder the first session too, which tells of it.
        with suppress(Exception):
            self._open(trusting=False)

    def trust_json(self) -> None:
        """See the port."""
        self._open(trusting=True)

    @contextmanager
    def lent(self, size: int) -> Iterator[None]:
        """Leave some bytes of the engine's memory to somebody else for a while; blocks may overlap.

        DuckDB gives up pages that it can read again, and spills sooner. What it needs at the moment it keeps.
        """
        self._lend(size)
        try:
            yield
        finally:
            self._lend(-size)

    @contextmanager
    def alone(self, wanted: bool) -> Iterator[None]:
        """Let one thread work at a time for a while, if wanted; blocks may overlap."""
        if not wanted:
            yield
            return
        self._narrow(1)
        try:
            yield
        finally:
            self._narrow(-1)

    def _narrow(self, more: int) -> None:
        with self._lock:
            self._alone += more
            if self._database is not None:
                with self._database.cursor() as connection:
                    connection.execute(f"SET threads = {self._workers()}")
                    # A column chunk that is fetched ahead lies in memory beside what is made of it.
                    connection.execute(f"SET disable_parquet_prefetching = {bool(self._alone)}")

    def _workers(self) -> int:
        return 1 if self._alone else self.threads

    def _lend(self, size: int) -> None:
        with self._lock:
            self._lent += size
            if self._database is not None:
                # Nothing smaller fits what is pinned now: the bound that was set before stays, until the next time.
                with suppress(duckdb.OutOfMemoryException), self._database.cursor() as connection:
                    connection.execute(f"SET memory_limit = '{self._limit()}MiB'")

    def _limit(self) -> int:
        return max(LEAST_MEMORY, self.memory - self._lent) // 2**20

    def close(self) -> None:
        """Close the database and remove what it spilled."""
        if self._warming is not None:
            self._warming.join()
            self._warming = None
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None
                self._trusting = False
            if self._folder is not None:
                self._folder.cleanup()
                self._folder = None

    def _open(self, *, trusting: bool) -> duckdb.DuckDBPyConnection:
        with self._lock:
            if self._database is None:
                if self._spill is None:
                    self._folder = tempfile.TemporaryDirectory(prefix=SPILL)
                    # Whose it is, for vacuum: a process that was killed leaves it behind.
                    Path(self._folder.name, OWNER).write_text(this_process(), encoding="utf-8")
                folder = self._spill or (self._folder.name if self._folder else "")
                self._database = duckdb.connect(
                    ":memory:",
                    config={
                        "memory_limit": f"{self._limit()}MiB",
                        "threads": str(self._workers()),
                        "temp_directory": folder,
                        **_SETTINGS,
                    },
                )
                # The extension that knows zones is loaded by then; each session has it from here.
                self._database.execute("SET GLOBAL TimeZone = 'UTC'")
                # A setting of sessions; it is on where somebody types.
                asked = self._database.execute("SELECT current_setting('enable_progress_bar')")
                self._shows_progress = bool(asked.fetchall()[0][0])
                # What knows a function of Python is to be closed before Python ends.
                weakref.finalize(self, self._database.close)
            if trusting and not self._trusting:
                as_json: Any = self._database.create_function
                as_json(TRUSTED_JSON, trusted_json, ["VARCHAR"], "JSON", type="arrow")
                self._trusting = True
            return self._database
