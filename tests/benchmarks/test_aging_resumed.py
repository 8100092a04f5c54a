"""The benchmark of many micro-batches goes on in its folder after a kill, and keeps what it saw before."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def _aging(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.aging", str(folder), *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def _ended(aging: subprocess.Popen[str]) -> str:
    said, _ = aging.communicate(timeout=600)
    assert aging.returncode == 0
    return said


def _found(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "aging.json").read_text()))


def _landed(folder: Path) -> int:
    return len(list((folder / "old/lake/raw_t/_manifests").glob("*.json"))) // 2


def test_goes_on_after_a_kill_and_to_a_greater_count(tmp_path: Path) -> None:
    killed = _aging(tmp_path, "170", "20")
    while not (tmp_path / "old/lake").exists() or _landed(tmp_path) < 125:
        assert killed.poll() is None
        time.sleep(0.1)
    killed.kill()
    killed.communicate()
    assert json.loads(_ended(_aging(tmp_path)))["sittings"] == 1
    _ended(_aging(tmp_path, "170", "20"))
    found = _found(tmp_path)
    assert (found["count"], found["sittings"], found["there"]["rows"]) == (170, 2, 170 * 5)
    assert found["there"]["loads"] == 170
    assert found["first"]["batches"] == found["last"]["batches"] == found["new"]["batches"] == 20
    first = found["first"]
    _ended(_aging(tmp_path, "180", "20"))
    found = _found(tmp_path)
    assert (found["count"], found["sittings"], found["there"]["rows"]) == (180, 3, 180 * 5)
    assert found["first"] == first
