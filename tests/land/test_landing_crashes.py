"""Landing while the process is killed or the disk refuses: nothing or everything, and the next run goes on."""

import os
import random
import subprocess
import sys
import time

import duckdb
import pytest
from deltalake import DeltaTable
from landing_place import Place, batch

from penstock.model.entries import EntryKind
from penstock.stores.lake import DeltaLake

CHILD = """
import os, sys
sys.path.insert(0, sys.argv[2])
from landing_place import Place, batch
place = Place(sys.argv[1])
done = place.table().head() and len(list(place.table().entries()))
print("go", flush=True)
for turn in range(done, 1000):
    place.land([batch({"turn": [turn] * 2000, "text": ["x" * 50] * 2000})])
    print(turn, flush=True)
"""


def child(root, *, code=CHILD, **more):
    command = [sys.executable, "-c", code, str(root), os.path.dirname(__file__)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **more)


def test_killed_at_any_time_no_turn_is_lost_or_doubled(tmp_path):
    seed = random.Random(7)
    entries = []
    for _ in range(4):
        process = child(tmp_path)
        with process:
            said = [process.stdout.readline() for _ in range(seed.randint(1, 4))]
            time.sleep(seed.uniform(0, 0.1))
            process.kill()
            said += process.stdout.read().split()
        table = DeltaLake(tmp_path).table("raw_t")
        entries = list(table.entries())
        assert len(entries) > (int(said[-1]) if len(said) > 1 else -1)
    assert len(entries) > 3
    uris = [table.uri(file.path) for entry in entries for file in entry.files]
    turns = duckdb.sql(f"SELECT turn, count(*) FROM read_parquet({uris}) GROUP BY 1 ORDER BY 1").fetchall()
    assert turns == [(turn, 2000) for turn in range(len(entries))]
    place = Place(tmp_path)
    place.land([batch({"turn": [len(entries)], "text": ["x"]})])
    assert len(list(place.table().entries())) == len(entries) + 1
    place.engine.close()


FULL = """
import os, resource, signal, sys
sys.path.insert(0, sys.argv[2])
from landing_place import Place, batch
from penstock.errors import PenstockError
from penstock.extract.port import Scan
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
place = Place(sys.argv[1])
place.land([batch({"a": [1], "r": [0.5]})])
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
import pyarrow as pa
big = [batch({"a": pa.arange(0, 200_000), "r": pa.array(float(i) ** 0.5 for i in range(200_000))})]
if sys.argv[3] == "scan":
    big = [Scan("SELECT range AS a, random() AS r FROM range(200000)")]
try:
    place.land(big)
except PenstockError as error:
    print(type(error).__name__, str(error).count("could not be written"), len(place.files()), place.table().head())
"""


@pytest.mark.parametrize("by", ["arrow", "scan"])
def test_a_disk_that_takes_no_more_is_a_sentence_and_nothing_is_left(tmp_path, by):
    command = [sys.executable, "-c", FULL, str(tmp_path), os.path.dirname(__file__), by]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.stdout == "TransientError 1 1 1\n", said.stderr


WIDENING = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
import pyarrow as pa
from landing_place import Place, batch
place = Place(sys.argv[1])
if not place.table().head():
    place.land([batch({"k": [1], "x": pa.array([1], pa.int32())})])
    place.land([batch({"k": [2], "x": pa.array([2], pa.int32())})])
left = int(sys.argv[3])
def count(event, arguments):
    global left
    # Manifests and the log entry of a change of types come into being by a link; data files are opened to be synced.
    if event == "os.link" or (event == "open" and str(arguments[0]).endswith(".parquet")):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(count)
place.land([batch({"k": [3], "x": [2**40]})])
print("landed", flush=True)
"""


def test_killed_at_any_step_of_a_widening_the_table_is_whole_and_goes_on(tmp_path):
    for kill in range(1, 100):
        folder = tmp_path / str(kill)
        command = [sys.executable, "-c", WIDENING, str(folder), os.path.dirname(__file__)]
        said = subprocess.run([*command, str(kill)], capture_output=True, text=True, check=False)
        assert said.returncode in (0, -9), said.stderr
        place = Place(folder)
        landed = [entry for entry in place.table().entries() if entry.kind is EntryKind.LOAD]
        rows = DeltaTable(str(folder / "raw_t")).to_pyarrow_table().to_pylist()
        assert sorted((row["k"], row["x"]) for row in rows) == [(1, 1), (2, 2), (3, 2**40)][: len(landed)]
        if len(landed) == 2:
            place.land([batch({"k": [3], "x": [2**40]})])
            rows = DeltaTable(str(folder / "raw_t")).to_pyarrow_table().to_pylist()
            assert sorted((row["k"], row["x"]) for row in rows) == [(1, 1), (2, 2), (3, 2**40)]
        place.engine.close()
        if said.stdout == "landed\n":
            break
    assert kill > 4
