"""Runs Penstock as a process of its own and tells the greatest memory of its tree."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measuring import tree_memory

MIB = 2**20
CAP = 2**30
_INGEST = """
import sys, penstock
receipt = penstock.ingest(sys.argv[1], to=sys.argv[2], table="t")
print(receipt.rows)
"""


def ingested(uri: str, folder: Path) -> tuple[int, int]:
    """Bring a URI into a fresh warehouse; return the rows, and the greatest sum of resident pages (RSS) in bytes."""
    warehouse = str(Path(tempfile.mkdtemp(dir=folder)) / "t.duckdb")
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-c", _INGEST, uri, warehouse], stdout=said, stderr=subprocess.STDOUT, cwd=folder
        )
        peak = 0
        while process.poll() is None:
            peak = max(peak, tree_memory(process.pid))
            time.sleep(0.02)
        said.seek(0)
        text = said.read()
    assert process.returncode == 0, text[-1500:]
    assert peak > 100 * MIB
    return int(next(line for line in text.splitlines() if line.isdigit())), peak
