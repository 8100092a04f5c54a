"""Eight processes land, one compacts, one reads: no row is lost or doubled."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from deltalake import DeltaTable

from penstock.model.entries import EntryKind
from penstock.names import LOAD
from penstock.queries.relations import FILE, ROW, accepted
from penstock.stores.engine import LocalEngine
from penstock.stores.lake import DeltaLake

WRITERS = 8
LOADS = 12

WRITER = """
import sys, time
from datetime import UTC, datetime
import pyarrow as pa
from penstock.errors import ConflictError
from penstock.extract.port import ArrowBatch
from penstock.land.landing import Landing, LandPorts, land
from penstock.model.entries import Work
from penstock.model.specs import SourceSpec
from penstock.stores.engine import LocalEngine
from penstock.stores.lake import DeltaLake

root, writer, loads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

class One:
    schema = None
    def __init__(self, values): self.values = values
    def batches(self): yield ArrowBatch(pa.record_batch({"n": self.values}), ("test", {}))
    def position(self): return {"cursor": int(self.values[-1])}
    def notes(self): return ()
    def commit(self): pass
    def close(self): pass

lake, engine = DeltaLake(root), LocalEngine(memory=64 * 2**20, threads=1)
for load in range(loads):
    first = (writer * loads + load) * 10
    values = list(range(first, first + 1 + (writer + load) % 5))
    while True:
        spec = Landing(source=SourceSpec(table="t", kind="python"), work=Work(), run=f"w{writer}", fence=0,
                       created_at=datetime.now(UTC))
        try:
            land(spec, LandPorts(lake, engine, One(values), lambda rows, size: None))
            break
        except ConflictError:
            time.sleep(0.02 * writer)
    print(*values, flush=True)
"""

COMPACTOR = """
import os, sys, time
from datetime import UTC, datetime
from penstock.model.entries import EntryKind
from penstock.stores.compaction import Compacting, compact, sources_of
from penstock.stores.engine import LocalEngine
from penstock.stores.lake import DeltaLake

root, ended = sys.argv[1], sys.argv[2]
table, engine = DeltaLake(root).table("raw_t"), LocalEngine(memory=64 * 2**20, threads=1)
replaced = []
while True:
    last = os.path.exists(ended)
    entries = list(table.entries())
    sources = sources_of([e for e in entries if e.kind is EntryKind.LOAD],
                         [e for e in entries if e.kind is EntryKind.COMPACTION])
    if sources:
        columns = next(e.schema for e in reversed(entries) if e.schema)
        spec = Compacting(run="c", now=datetime.now(UTC), sources=sources, columns=columns, open=True)
        done = compact(spec, table, engine, lambda rows, size: None)
        replaced.append(done.files_before)
    if last:
        break
    time.sleep(0.05)
print(sum(replaced), len([n for n in replaced if n]))
"""

READER = """
import os, sys, time
import duckdb
from penstock.model.entries import EntryKind
from penstock.queries.relations import accepted
from penstock.stores.lake import DeltaLake

root, ended = sys.argv[1], sys.argv[2]
table, seen = DeltaLake(root).table("raw_t"), 0
while not os.path.exists(ended):
    loads = [e for e in table.entries() if e.kind is EntryKind.LOAD]
    if loads:
        relation = accepted([table.reading(load.files) for load in loads])
        figures = "count(*), count(DISTINCT n), count(DISTINCT _load)"
        rows, different, count = duckdb.sql(f"SELECT {figures} FROM {relation}").fetchall()[0]
        assert rows == different == sum(load.rows for load in loads), (rows, different)
        assert count == len(loads)
        plain = [table.uri(file.path) for file in table.live()]
        rows, different = duckdb.sql(f"SELECT count(*), count(DISTINCT n) FROM read_parquet({plain!r})").fetchall()[0]
        assert rows == different, (rows, different)
        seen += 1
print(seen)
"""


def begin(script: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_landing_goes_on_beside_compaction_and_reading(tmp_path: Path) -> None:
    root, ended = tmp_path / "lake", tmp_path / "ended"
    reader, compactor = begin(READER, root, ended), begin(COMPACTOR, root, ended)
    writers = [begin(WRITER, root, number, LOADS) for number in range(WRITERS)]
    try:
        said = [writer.communicate(timeout=240)[0] for writer in writers]
        assert [writer.returncode for writer in writers] == [0] * WRITERS
    finally:
        ended.touch()
        compacted, read = compactor.communicate(timeout=120)[0], reader.communicate(timeout=120)[0]
    assert (compactor.returncode, reader.returncode) == (0, 0)
    assert int(read) > 0
    assert int(compacted.split()[1]) > 1, "nothing was compacted meanwhile"
    produced = Counter(int(value) for text in said for value in text.split())
    table = DeltaLake(root).table("raw_t")
    loads = [entry for entry in table.entries() if entry.kind is EntryKind.LOAD]
    assert len(loads) == WRITERS * LOADS
    live = {table.place(file.path) for file in table.live()}
    for path in (root / "raw_t").glob("created_at=*/*.parquet"):
        if str(path) not in live:
            path.unlink()
    engine = LocalEngine()
    with engine.session() as connection:
        relation = accepted([table.reading(load.files) for load in loads], located=True)
        rows = connection.execute(f"SELECT n, {LOAD}, {FILE}, {ROW} FROM {relation}").fetchall()
    engine.close()
    assert Counter(row[0] for row in rows) == produced
    files = {table.place(file.path): load for load in loads for file in load.files}
    assert all(files[file].number == load for _, load, file, _ in rows)
    assert Counter(DeltaTable(root / "raw_t").to_pyarrow_table()["n"].to_pylist()) == produced
    assert len(table.live()) < 5
    texts = [path.read_text() for path in (root / "raw_t/_delta_log").glob("*.json")]
    log = [json.loads(line) for text in texts for line in text.splitlines()]
    assert all(not line["remove"]["dataChange"] for line in log if "remove" in line)
