from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from deltalake import DeltaTable
from promote_world import World

_READER = Path(__file__).parent / "release_reader.py"


@pytest.mark.parametrize("releases", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_readers_never_see_an_error_or_a_mixture(world: World, releases: int) -> None:
    """Processes open production anew all the time, hold a release for a while, or hold the first one to the end."""
    rows = 100
    for number in (1, 2):
        _make(world, number, rows)
    stop = world.root / "stop"
    opening = ["open", str(world.warehouse), str(world.lake), str(stop)]
    staying = ["stay", str(world.warehouse), str(stop)]
    commands = [opening, opening, opening, staying, ["hold", str(world.warehouse), str(stop)]]
    readers = [_start(command) for command in commands]
    try:
        for reader in readers:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "reading\n"
        for number in range(3, 3 + releases):
            if number % 4:
                _make(world, number, rows)
            else:
                world.rollback(keep=3)
            for table in ("delays", "planes"):
                # A reader of one bare Delta table sees one release of it.
                found = DeltaTable(str(world.lake / table)).to_pyarrow_dataset().to_table(columns=["release"])
                assert len(set(found["release"].to_pylist())) == 1
        stop.touch()
        summaries = []
        for reader in readers:
            out, error = reader.communicate(timeout=60)
            assert reader.returncode == 0, error
            summaries.append(json.loads(out))
        assert all(summary["reads"] >= 3 for summary in summaries)
        assert all(len(summary["seen"]) >= 3 for summary in summaries[:3])
        assert summaries[3]["seen"] == sorted(set(summaries[3]["seen"]))
        assert summaries[4]["seen"] == [2]
    finally:
        for reader in readers:
            reader.kill()
            reader.communicate()


def _start(arguments: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, str(_READER), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _make(world: World, number: int, rows: int) -> None:
    world.version("delays", f"SELECT {number} AS release, i AS id FROM range({rows}) t(i)")
    world.version("planes", f"SELECT {number} AS release, 'x' || i AS tail FROM range({rows}) t(i)")
    assert world.promote("delays", "planes", keep=3).number == number
