"""Counting the writes of a process, and killing it at one of them: installed around the ports by the test alone."""

from __future__ import annotations

import contextlib
import os
import signal
import threading


class Boundaries:
    """Numbers each write in the order of its beginning.

    Args:
        root: Writes to files outside it are none of ours.
        kill_at: The number of the write at which the process kills itself; 0 for none.
        before: Whether it dies before the write or after it.
        with_signal: What it sends itself; SIGSTOP puts it to sleep there instead.
    """

    def __init__(self, root, kill_at=0, before=True, with_signal=signal.SIGKILL):
        self.root = root
        self.kill_at = kill_at
        self.before = before
        self.with_signal = with_signal
        self.names = []
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def around(self, name):
        with self._lock:
            self.names.append(name)
            mine = len(self.names) == self.kill_at
        if mine and self.before:
            self.die()
        yield
        if mine and not self.before:
            self.die()

    def die(self):
        os.kill(os.getpid(), self.with_signal)
        while self.with_signal == signal.SIGKILL:
            threading.Event().wait()

    def within(self, path):
        return isinstance(path, (str, os.PathLike)) and os.path.abspath(path).startswith(self.root)


def install(boundaries):
    """Wrap the ports and what lies below them: objects, log, warehouse, release files, catalog, disk."""
    import pyarrow.parquet as pq

    from penstock.catalog import sqlite
    from penstock.orchestrate import workspace
    from penstock.stores import bucket_objects, delta, engine, objects, releases

    for owner, names in (
        (objects.LocalObjects, ("create", "replace", "adopt", "remove")),
        (bucket_objects.BucketObjects, ("create", "replace", "adopt", "take", "remove", "_upload")),
        (delta.DeltaLog, ("create", "append", "add_columns")),
        (releases.ReleaseFolder, ("build", "link", "swap", "remove")),
        (pq.ParquetWriter, ("write_table", "close")),
    ):
        for name in names:
            _wrap(owner, name, boundaries)
    for name in ("replace", "rename", "link", "unlink", "remove"):
        _wrap_paths(name, boundaries)
    _wrap_sessions(engine.LocalEngine, boundaries)
    _wrap_catalog(sqlite.SqliteDatabase, boundaries)
    # One source after the other, so that the numbers mean nearly the same in each run.
    opened = workspace.open_workspace

    def alone(*arguments):
        found = opened(*arguments)
        found.workers = 1
        return found

    workspace.open_workspace = alone


def install_postgres(boundaries):
    """Wrap the driver of PostgreSQL: statements that write, what a COPY sends, and the ends of transactions."""
    import psycopg

    execute = psycopg.Connection.execute

    def executed(self, query, *arguments, **named):
        text = query.decode() if isinstance(query, bytes) else str(query)
        word = text.split(None, 1)[0]
        if word in ("INSERT", "UPDATE", "CREATE", "ALTER", "DROP", "DO", "ANALYZE", "BEGIN;"):
            with boundaries.around(f"postgres {word}"):
                return execute(self, query, *arguments, **named)
        return execute(self, query, *arguments, **named)

    psycopg.Connection.execute = executed
    _wrap(psycopg.Copy, "write", boundaries)
    _wrap(psycopg.Transaction, "__exit__", boundaries)


def _wrap(owner, name, boundaries):
    original = getattr(owner, name)
    label = f"{getattr(owner, '__name__', owner)}.{name}"

    def wrapped(*arguments, **named):
        with boundaries.around(label):
            return original(*arguments, **named)

    setattr(owner, name, wrapped)


def _wrap_paths(name, boundaries):
    original = getattr(os, name)

    def wrapped(path, *arguments, **named):
        if isinstance(path, int) or boundaries.within(path):
            with boundaries.around(f"os.{name}"):
                return original(path, *arguments, **named)
        return original(path, *arguments, **named)

    setattr(os, name, wrapped)


def _wrap_sessions(owner, boundaries):
    original = owner.session

    @contextlib.contextmanager
    def session(self, **asked):
        with original(self, **asked) as connection:
            yield _Session(connection, boundaries)

    owner.session = session


class _Session:
    """A DuckDB connection whose writing statements are counted."""

    def __init__(self, connection, boundaries):
        self.__connection = connection
        self.__boundaries = boundaries

    def __getattr__(self, name):
        return getattr(self.__connection, name)

    def execute(self, sql, *arguments, **named):
        word = sql.split(None, 1)[0].upper()
        if word in ("COPY", "COMMIT", "CHECKPOINT"):
            with self.__boundaries.around(f"duckdb {word}"):
                return self.__connection.execute(sql, *arguments, **named)
        return self.__connection.execute(sql, *arguments, **named)


def _wrap_catalog(owner, boundaries):
    original = owner.writing

    @contextlib.contextmanager
    def writing(self):
        with contextlib.ExitStack() as stack:
            yield stack.enter_context(original(self))
            ending = stack.pop_all()
            with boundaries.around("catalog commit"):
                ending.close()

    owner.writing = writing
