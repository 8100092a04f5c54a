"""Every benchmark runs on tiny data, and its contestants agree; nothing is timed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.measuring import Contestant, ContestantFailedError, compete, tree_memory

from benchmarks import run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for peers in ("PENSTOCK_BENCH_DLT_PYTHON", "PENSTOCK_BENCH_KAFKA_PYTHON", "PENSTOCK_BENCH_DLT_SOURCES"):
        monkeypatch.delenv(peers, raising=False)


@pytest.mark.parametrize(
    "name", ["csv", "small", "nested", "merge", "transforms", "planning", "promotion", "webhooks", "aging"]
)
def test_contestants_agree_on_tiny_data(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main([name, "--rounds", "1", "--small"]) == 0
    assert "| Penstock" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["postgres", "memory", "cdc"])
def test_contestants_agree_on_a_small_server(name: str, postgres: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main([name, "--rounds", "1", "--small"]) == 0
    assert "| Penstock" in capsys.readouterr().out


def test_contestants_agree_on_a_small_topic(kafka: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["kafka", "--rounds", "1", "--small"]) == 0
    assert "| Penstock" in capsys.readouterr().out


def _says(text: str) -> Contestant:
    code = f"import pathlib, sys; pathlib.Path(sys.argv[1], 'said').write_text({text!r})"
    return Contestant(text, [sys.executable, "-c", code, "{out}"], lambda out: (out / "said").read_text())


def test_different_answers_are_refused() -> None:
    with pytest.raises(ContestantFailedError, match="b gives b, the yardstick a"):
        compete([_says("a"), _says("b")], 1)


def test_what_a_peer_gives_otherwise_is_told() -> None:
    peer = Contestant("peer", _says("b").command, _says("b").answer, peer=True)
    lines = compete([_says("a"), peer], 2)
    assert (lines[1].differs, len(lines[0].samples), len(lines[1].samples)) == ("gives b instead of a", 2, 1)


def test_a_failure_is_told() -> None:
    broken = Contestant("broken", [sys.executable, "-c", "raise SystemExit('no disk')"], str)
    with pytest.raises(ContestantFailedError, match="broken ended with 1: no disk"):
        compete([broken], 1)


def test_memory_counts_the_children_too() -> None:
    import subprocess
    import time

    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'x = b\"1\" * 200_000_000; input()'])"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 20
        while tree_memory(process.pid) < 200_000_000 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert tree_memory(process.pid) >= 200_000_000
    finally:
        process.communicate(b"\n")


def test_an_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run.main(["nothing"])
    assert "no such benchmark: nothing" in capsys.readouterr().err
