"""A warehouse that somebody holds, that is no warehouse, that cannot be written, or whose writer is killed."""

from __future__ import annotations

import os
import random
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from penstock.errors import ConfigurationError, DataError, TransientError
from penstock.stores.engine import LocalEngine
from penstock.stores.warehouse import DuckDBWarehouse


@pytest.fixture(scope="module")
def engine() -> Iterator[LocalEngine]:
    found = LocalEngine(memory=256 * 2**20, threads=2)
    yield found
    found.close()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "warehouse.duckdb")


@contextmanager
def child(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run Python code in a process of its own until it prints its first line."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


HOLD = """
import sys, time
from penstock.stores.engine import LocalEngine
from penstock.stores.warehouse import DuckDBWarehouse
with DuckDBWarehouse(sys.argv[1], LocalEngine(threads=1)).writing() as transaction:
    transaction.execute("CREATE TABLE t AS SELECT 1 AS a")
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
print("done", flush=True)
"""


def test_who_waits_for_another_process_is_told_for_whom_and_gets_the_file_in_the_end(
    path: str, engine: LocalEngine
) -> None:
    told: list[str] = []
    with child(HOLD, path, "1.6") as process:
        with DuckDBWarehouse(path, engine, told.append, patience=30).writing() as transaction:
            assert transaction.tables() == ("t",)
        assert told == [
            f"The warehouse {path} is held by another Penstock process (pid {process.pid}); "
            "waiting for it, 30 s at most."
        ]


def test_who_waits_too_long_gives_up_with_a_sentence(path: str, engine: LocalEngine) -> None:
    with child(HOLD, path, "60") as process:
        warehouse = DuckDBWarehouse(path, engine, patience=0.3)
        named = rf"held by another Penstock process \(pid {process.pid}\)"
        with pytest.raises(TransientError, match=named), warehouse.writing():
            pytest.fail("the file is held")
        with pytest.raises(TransientError, match=r"within 0\.3 s"), warehouse.reading():
            pytest.fail("the file is held")
        process.send_signal(signal.SIGKILL)
        process.wait()
        with warehouse.writing() as transaction:
            assert transaction.tables() == ()


def test_a_step_of_this_process_is_named_as_such(path: str, engine: LocalEngine) -> None:
    second = DuckDBWarehouse(path, engine, patience=0.1)
    named = rf"another step of this process \(pid {os.getpid()}\)"
    with DuckDBWarehouse(path, engine).writing(), pytest.raises(TransientError, match=named), second.writing():
        pytest.fail("the file is held")


OPENED = """
import sys, time, duckdb
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
time.sleep(float(sys.argv[2]))
"""


def test_a_file_that_somebody_opened_with_duckdb_is_waited_for(path: str, engine: LocalEngine) -> None:
    with DuckDBWarehouse(path, engine).writing() as transaction:
        transaction.execute("CREATE TABLE t AS SELECT 1 AS a")
    told: list[str] = []
    with child(OPENED, path, "1.6") as process:
        hasty, named = DuckDBWarehouse(path, engine, patience=0.2), rf"python.* \(pid {process.pid}\)"
        with pytest.raises(TransientError, match=named) as raised, hasty.writing():
            pytest.fail("the file is held")
        assert path in str(raised.value)
        with DuckDBWarehouse(path, engine, told.append, patience=30).writing() as transaction:
            assert transaction.execute("SELECT a FROM t") == [(1,)]
    assert len(told) == 1


def test_a_connection_of_this_process_is_waited_for(path: str, engine: LocalEngine) -> None:
    with DuckDBWarehouse(path, engine).writing() as transaction:
        transaction.execute("CREATE TABLE t AS SELECT 1 AS a")
    connection = duckdb.connect(path)
    hasty = DuckDBWarehouse(path, engine, patience=0.1)
    with pytest.raises(TransientError, match="a connection of this process"), hasty.writing():
        pytest.fail("the file is held")
    threading.Timer(0.2, connection.close).start()
    with DuckDBWarehouse(path, engine, patience=30).writing() as transaction:
        assert transaction.tables() == ("t",)


@pytest.mark.parametrize("content", [b"", b"a", b"id,name\n1,one\n" * 2000, b"SQLite format 3\0" + bytes(8000)])
def test_a_file_that_is_no_warehouse_is_named_and_left_as_it_is(path: str, engine: LocalEngine, content: bytes) -> None:
    Path(path).write_bytes(content)
    for opened in (DuckDBWarehouse(path, engine).writing, DuckDBWarehouse(path, engine).reading):
        with pytest.raises(DataError, match="is not a DuckDB file") as raised, opened():
            pytest.fail("there is nothing to open")
        assert path in str(raised.value)
    assert Path(path).read_bytes() == content


def test_a_file_of_a_later_duckdb_and_a_damaged_one_are_told_apart(path: str, engine: LocalEngine) -> None:
    with DuckDBWarehouse(path, engine).writing() as transaction:
        transaction.execute("CREATE TABLE t AS SELECT 1 AS a")
    whole = bytearray(Path(path).read_bytes())
    whole[12:20] = struct.pack("<Q", 999)
    Path(path).write_bytes(whole)
    with pytest.raises(DataError, match="is damaged") as raised, DuckDBWarehouse(path, engine).reading():
        pytest.fail("it cannot be read")
    # The version counts only under the checksum of its block, which the message tells.
    found = re.search(r"computed checksum (\d+)", str(raised.value))
    assert found is not None
    whole[:8] = struct.pack("<Q", int(found[1]))
    Path(path).write_bytes(whole)
    with pytest.raises(DataError, match="later version of DuckDB"), DuckDBWarehouse(path, engine).reading():
        pytest.fail("it cannot be read")


def test_a_folder_that_cannot_be_written_is_refused_with_a_sentence(tmp_path: Path, engine: LocalEngine) -> None:
    (tmp_path / "file").write_text("")
    for path in ("/proc/penstock.duckdb", "/proc/deep/penstock.duckdb", str(tmp_path / "file" / "w.duckdb")):
        with pytest.raises(ConfigurationError, match=path), DuckDBWarehouse(path, engine).writing():
            pytest.fail("it cannot be written")
    folder = tmp_path / "folder.duckdb"
    folder.mkdir()
    warehouse = DuckDBWarehouse(str(folder), engine)
    with pytest.raises(ConfigurationError, match="cannot be opened there"), warehouse.writing():
        pytest.fail("it is a folder")


def test_changes_without_their_file_are_not_thrown_away(path: str, engine: LocalEngine) -> None:
    Path(f"{path}.wal").write_bytes(b"changes")
    for opened in (DuckDBWarehouse(path, engine).writing, DuckDBWarehouse(path, engine).reading):
        with pytest.raises(DataError, match=r"\.wal is there"), opened():
            pytest.fail("it is gone")
    assert Path(f"{path}.wal").read_bytes() == b"changes"


FULL = """
import resource, signal, sys
from penstock.errors import TransientError
from penstock.stores.engine import LocalEngine
from penstock.stores.warehouse import DuckDBWarehouse
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4 * 2**20, 4 * 2**20))
try:
    with DuckDBWarehouse(sys.argv[1], LocalEngine(threads=1)).writing() as transaction:
        transaction.execute("CREATE TABLE big AS SELECT hash(range)::VARCHAR AS a FROM range(2000000)")
except TransientError as error:
    print(error, flush=True)
"""


def test_a_full_disk_is_a_sentence_and_leaves_the_file_as_it_was(path: str, engine: LocalEngine) -> None:
    with DuckDBWarehouse(path, engine).writing() as transaction:
        transaction.execute("CREATE TABLE t AS SELECT 1 AS a")
    process = subprocess.run(
        [sys.executable, "-c", FULL, path], capture_output=True, text=True, timeout=60, check=False
    )
    assert "the disk is full" in process.stdout, process.stderr
    with DuckDBWarehouse(path, engine).writing() as transaction:
        assert transaction.tables() == ("t",)
        assert transaction.execute("SELECT a FROM t") == [(1,)]


WRITER = """
import itertools, sys
from penstock.stores.engine import LocalEngine
from penstock.stores.warehouse import DuckDBWarehouse
warehouse = DuckDBWarehouse(sys.argv[1], LocalEngine(threads=1))
for _ in itertools.count():
    with warehouse.writing() as transaction:
        number = transaction.applied("one") + 1
        for table in ("one", "two"):
            transaction.execute(f"CREATE TABLE IF NOT EXISTS {table} (number BIGINT, value VARCHAR)")
            transaction.execute(f"INSERT INTO {table} SELECT ?, hash(range)::VARCHAR FROM range(3000)", [number])
            transaction.execute(f"DELETE FROM {table} WHERE number < ?", [number - 5])
        transaction.record("one", number, {})
    print(number, flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_all_of_a_transaction_or_nothing(path: str, engine: LocalEngine) -> None:
    moments = random.Random(7)
    last = 0
    for _ in range(8):
        with child(WRITER, path) as process:
            time.sleep(moments.uniform(0.0, 0.12))
            process.kill()
            process.wait()
            with DuckDBWarehouse(path, engine, patience=10).writing() as transaction:
                number = transaction.applied("one")
                assert number > last
                last = number
                expected = [(kept, 3000) for kept in range(max(1, number - 5), number + 1)]
                for table in ("one", "two"):
                    query = f"SELECT number, count(*) FROM {table} GROUP BY number ORDER BY number"
                    assert transaction.execute(query) == expected
    # DuckDB leaves a log that holds nothing to be played until something is written.
    with DuckDBWarehouse(path, engine).writing() as transaction:
        transaction.record("one", last + 1, {})
    assert not os.path.exists(f"{path}.wal")
    with DuckDBWarehouse(path, engine).reading() as transaction:
        assert transaction.applied("one") == last + 1


KILLED_BEFORE = """
import os, signal, sys
from contextlib import contextmanager
from penstock.stores.engine import LocalEngine
from penstock.stores.warehouse import DuckDBWarehouse

class Connection:
    '''Passes everything on, and dies before the statement that is named.'''
    def __init__(self, connection): self.connection = connection
    def __getattr__(self, name): return getattr(self.connection, name)
    def execute(self, sql, *values):
        if sql.startswith(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return self.connection.execute(sql, *values)

class Engine(LocalEngine):
    @contextmanager
    def session(self, **asked):
        with super().session(**asked) as connection:
            yield Connection(connection)

with DuckDBWarehouse(sys.argv[1], Engine(threads=1)).writing() as transaction:
    transaction.execute("CREATE TABLE t AS SELECT range AS a FROM range(10)")
"""


@pytest.mark.parametrize(
    ("statement", "rows"), [("ATTACH", None), ("DETACH", None), ("BEGIN", None), ("COMMIT", None), ("CHECKPOINT", 10)]
)
def test_a_kill_before_each_step_of_a_transaction(
    path: str, engine: LocalEngine, statement: str, rows: int | None
) -> None:
    subprocess.run([sys.executable, "-c", KILLED_BEFORE, path, statement], timeout=60, check=False)
    if statement == "CHECKPOINT":
        # So few rows are committed to the log; more would stand in the tables by now.
        assert os.path.exists(f"{path}.wal")
    with DuckDBWarehouse(path, engine, patience=5).reading() as transaction:
        assert transaction.tables() == (("t",) if rows else ())
    with DuckDBWarehouse(path, engine, patience=5).writing() as transaction:
        if rows:
            assert transaction.execute("SELECT count(*) FROM t") == [(rows,)]
        transaction.execute("CREATE TABLE u AS SELECT 1 AS a")
    left = sorted(name for name in os.listdir(os.path.dirname(path)))
    assert left == ["warehouse.duckdb", "warehouse.duckdb.lock"]
