"""The cases of streams: a topic of Kafka that is drained, and webhooks that are taken."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb

from benchmarks import aging, capturing, living, receiving, streaming
from benchmarks.measuring import Contestant, Line, Sample, compete, once
from benchmarks.servers import server
from benchmarks.sizes import Sizes, Table

PEERS = "PENSTOCK_BENCH_KAFKA_PYTHON"
"""The environment variable that names an interpreter with Quix Streams and dlt."""
DLT_SOURCES = "PENSTOCK_BENCH_DLT_SOURCES"
"""The one that names the folder in which ``dlt init kafka filesystem`` has put dlt's source."""


def kafka(sizes: Sizes, rounds: int, folder: Path) -> Iterator[Table]:
    """A topic of Kafka to the raw lake."""
    del folder
    few = max(1, sizes.events // 4)
    with server("kafka") as broker:
        broker.create(streaming.TOPIC, 3)
        streaming.produce(broker.producer(), sizes.events)
        broker.create(streaming.FEW, 3)
        streaming.produce(broker.producer(), few, streaming.FEW)

        def contestant(name: str, work: str) -> Contestant:
            command = [sys.executable, "-m", "benchmarks.streaming", work, "{out}", broker.hosts, str(sizes.events)]
            return Contestant(name, command, _landed)

        peers, missing = _peers(broker.hosts, few)
        lines = compete(
            [
                contestant("bare: consume and count", "bare"),
                contestant("by hand: consume, Arrow, Parquet", "by_hand"),
                contestant("Penstock: lake, each once", "lake"),
                contestant("Penstock: lake and warehouse, each once", "penstock"),
                *peers,
            ],
            rounds,
        )
    named = {peer.name for peer in peers}
    note = "Ratios are to the bare loop. By hand writes files alone: no commit, no positions, no check, no warehouse."
    if peers:
        note += f" Of a peer's messages, {few:,}, its start is a part as well; its ratio is that of the rates."
    yield Table(
        "Kafka to the raw lake, JSON of 300 bytes",
        sizes.events,
        [_of_few(line, lines[0], few, sizes.events) if line.name in named else line for line in lines],
        " ".join((note, *missing)),
    )


def _peers(hosts: str, count: int) -> tuple[list[Contestant], list[str]]:
    """Return the peers that are there, and a sentence about each that is not."""
    found, missing = [], []
    python, sources = os.environ.get(PEERS, ""), os.environ.get(DLT_SOURCES, "")
    here = Path(__file__).parent
    if python:
        command = [python, str(here / "by_quix.py"), "{out}", hosts, streaming.FEW, str(count)]
        found.append(Contestant("Quix Streams, Parquet alone, at least once", command, _landed, peer=True))
    else:
        missing.append(f"Quix Streams was not run: {PEERS} names no interpreter that has it.")
    if python and sources:
        command = [python, str(here / "by_dlt_kafka.py"), "{out}", hosts, streaming.FEW, sources]
        found.append(Contestant("dlt's source of Kafka, Parquet alone", command, _landed, peer=True))
    else:
        missing.append(f"dlt was not run: {PEERS} and {DLT_SOURCES} name no interpreter and source of it.")
    return found, missing


def _of_few(line: Line, bare: Line, count: int, all_of_them: int) -> Line:
    """Return the line of a peer that had fewer messages; the ratio is that of the rates."""
    lost = [sample.answer for sample in line.samples if sample.answer != count]
    pace = bare.samples[0].seconds / all_of_them
    ratios = [sample.seconds / count / pace for sample in line.samples]
    return replace(line, rows=count, ratios=ratios, differs=f"gives {lost[0]} instead of {count}" if lost else "")


def _landed(out: Path) -> int:
    if (out / "count").exists():
        return int((out / "count").read_text())
    below = ((path, str(path.relative_to(out))) for path in (out / "lake").rglob("*.parquet"))
    files = [str(path) for path, name in below if "/_" not in name]
    with duckdb.connect() as connection:
        (found,) = connection.execute("SELECT count(DISTINCT id) FROM read_parquet(?)", [files]).fetchall()
    if (out / "t.duckdb").exists():
        with duckdb.connect(str(out / "t.duckdb"), read_only=True) as connection:
            (served,) = connection.execute("SELECT count(DISTINCT id) FROM raw_t").fetchall()
        assert served == found
    return int(found[0])


def live(sizes: Sizes, rounds: int, folder: Path) -> Iterator[Table]:
    """Events of Kafka that others read as rows of a live table."""
    del folder
    told: list[dict[str, float]] = []
    seconds, rate = sizes.living

    def answer(out: Path) -> int:
        told.append(json.loads((out / "latency.json").read_text()))
        return seconds * rate

    lines = []
    # A broker for each round: a stream begins at the beginning of its topic.
    for _ in range(rounds):
        with server("kafka") as broker:
            broker.create(living.TOPIC, 3)
            command = [sys.executable, "-m", "benchmarks.living", "{out}", broker.hosts, str(seconds), str(rate)]
            lines += compete([Contestant(f"Penstock: {rate:,} events/s, commits of 1 s", command, answer)], 1)
    samples = [sample for line in lines for sample in line.samples]
    shown = "; ".join(
        f"p50 {each['p50']:.2f} s, p95 {each['p95']:.2f} s, p99 {each['p99']:.2f} s, most {each['most']:.2f} s "
        f"({each['commits']:.0f} commits)"
        for each in told
    )
    note = f"From the event to the row in the hands of another process, producer, broker and reader beside it: {shown}."
    yield Table("Kafka to a live table", seconds * rate, [replace(lines[0], samples=samples)], note)


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


def changes(sizes: Sizes, rounds: int, folder: Path) -> Iterator[Table]:
    """Changes of a table of PostgreSQL."""
    base = folder / "changes"
    with server("postgres") as database:
        capturing.prepare(database.execute, database.url(), base, sizes.changes)
        ((at_source,),) = database.execute("SELECT count(*) FROM t")

        def answer(out: Path) -> int:
            if (out / "count").exists():
                return int((out / "count").read_text())
            with duckdb.connect(str(out / "t.duckdb"), read_only=True) as connection:
                assert connection.execute("SELECT count(*) FROM raw_t").fetchall() == [(at_source,)]
            files = [str(path) for path in (out / "lake/raw_t").rglob("*.parquet")]
            with duckdb.connect() as connection:
                asked = "SELECT count(*) FROM read_parquet(?, union_by_name=true) WHERE _op <> 'snapshot'"
                return int(connection.execute(asked, [files]).fetchall()[0][0])

        def contestant(name: str, work: str) -> Contestant:
            command = [sys.executable, "-m", "benchmarks.capturing", work, "{out}", database.url(), str(sizes.changes)]
            return Contestant(name, command, answer, base=base if work == "penstock" else None)

        lines = compete(
            [
                contestant("bare: receive and count", "bare"),
                contestant("Penstock: typed rows in memory", "rows"),
                contestant("Penstock: lake and warehouse, each once", "penstock"),
            ],
            rounds,
        )
    note = "Ratios are to the bare loop. Eight of ten changes are inserts, the others updates and deletes, by key."
    yield Table("Changes of PostgreSQL, transactions of 1,000 rows", sizes.changes, lines, note)


def aged(sizes: Sizes, rounds: int, folder: Path) -> Iterator[Table]:
    """A table that gets many micro-batches: the first ones, the last ones, and those of a new table, once."""
    del rounds, folder
    count, span = sizes.aged
    told: dict[str, Any] = {}

    def answer(out: Path) -> int:
        told.update(json.loads((Path(sizes.aged_in or out) / "aging.json").read_text()))
        return count

    command = [sys.executable, "-m", "benchmarks.aging", sizes.aged_in or "{out}", str(count), str(span)]
    once(Contestant("Penstock", command, answer))
    yield Table(
        f"Micro-batches of {aging.EACH} events into one table, the first and the last of {told['count']:,}",
        told["first"]["batches"],
        [
            _part(f"Penstock, {name} {told[key]['batches']:,}", told[key], told["first"])
            for name, key in (("the first", "first"), ("the last", "last"), ("of a new table, after them:", "new"))
            if key in told
        ],
        aging.note(told),
    )


def _part(name: str, found: dict[str, float], first: dict[str, float]) -> Line:
    sample = Sample(found["seconds"], found["cpu"], int(found["peak"]), None)
    pace, yardstick = found["seconds"] / found["batches"], first["seconds"] / first["batches"]
    return Line(name, [sample], [pace / yardstick], rows=int(found["batches"]))
