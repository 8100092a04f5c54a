"""The cases of streams: a topic of Kafka that is drained, and webhooks that are taken."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

from benchmarks import receiving, streaming
from benchmarks.measuring import Contestant, compete
from benchmarks.sizes import ROOT, Sizes, Table


def kafka(sizes: Sizes, rounds: int, folder: Path) -> Iterator[Table]:
    """A topic of Kafka to the raw lake."""
    del folder
    with _kafka() as server:
        server.create(streaming.TOPIC, 3)
        streaming.produce(server.producer(), sizes.events)

        def contestant(name: str, work: str) -> Contestant:
            command = [sys.executable, "-m", "benchmarks.streaming", work, "{out}", server.hosts, str(sizes.events)]
            return Contestant(name, command, _landed)

        lines = compete(
            [
                contestant("bare: consume and count", "bare"),
                contestant("by hand: consume, Arrow, Parquet", "by_hand"),
                contestant("Penstock: lake and warehouse, each once", "penstock"),
            ],
            rounds,
        )
    note = "Ratios are to the bare loop. By hand writes files alone: no commit, no positions, no check, no warehouse."
    yield Table("Kafka to the raw lake, JSON of 300 bytes", sizes.events, lines, note)


def _landed(out: Path) -> int:
    if (out / "count").exists():
        return int((out / "count").read_text())
    files = [str(path) for path in (out / "lake").rglob("*.parquet") if "/_" not in str(path.relative_to(out))]
    with duckdb.connect() as connection:
        (found,) = connection.execute("SELECT count(DISTINCT id) FROM read_parquet(?)", [files]).fetchall()
    if (out / "t.duckdb").exists():
        with duckdb.connect(str(out / "t.duckdb"), read_only=True) as connection:
            (served,) = connection.execute("SELECT count(DISTINCT id) FROM raw_t").fetchall()
        assert served == found
    return int(found[0])


def webhooks(sizes: Sizes, rounds: int, folder: Path) -> Iterator[Table]:
    """Events that are posted over 64 connections."""
    del folder
    told: dict[str, list[dict[str, float]]] = {}

    def contestant(name: str, work: str) -> Contestant:
        def answer(out: Path) -> Any:
            told.setdefault(name, []).append(json.loads((out / "latency.json").read_text()))
            kept = sizes.posted if work == "bare" else receiving.taken(out)
            if work == "landing":
                with duckdb.connect(str(out / "data/staging/warehouse.duckdb"), read_only=True) as connection:
                    assert connection.execute("SELECT count(DISTINCT id) FROM raw_orders").fetchall() == [(kept,)]
            return kept

        command = [sys.executable, "-m", "benchmarks.receiving", work, "{out}", str(sizes.posted)]
        return Contestant(name, command, answer)

    lines = compete(
        [
            contestant("bare: uvicorn answers, nothing is kept", "bare"),
            contestant("Penstock: verified, durable, once", "penstock"),
            contestant("Penstock, and a stream lands them", "landing"),
        ],
        rounds,
    )
    shown = "; ".join(f"{name}: {_figures(found)}" for name, found in told.items())
    yield Table("Webhooks of 300 bytes, sender on the same cores", sizes.posted, lines, f"In the median: {shown}.")


def _figures(found: list[dict[str, float]]) -> str:
    middle = sorted(found, key=lambda each: each["rate"])[len(found) // 2]
    return f"{middle['rate']:,.0f} events/s, p50 {1000 * middle['p50']:.0f} ms, p99 {1000 * middle['p99']:.0f} ms"


@contextlib.contextmanager
def _kafka() -> Iterator[Any]:
    sys.path.insert(0, str(ROOT / "tests"))
    try:
        from servers.kafka import running
    finally:
        sys.path.remove(str(ROOT / "tests"))
    with running() as server:
        yield server
