"""Kafka to lake, warehouse and a live table while processes, broker, disk and network are hurt: each event, once."""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from random import Random

import duckdb
import pytest
from crew import Company, Crew
from producing import EXPECTED, PARTITIONS
from soaking import Soak, soaked
from trouble import Hurt, Wait, disk, line_hurts
from verdict import Asked, Verdict, lake_files

from penstock.project import Project
from servers import kafka as kafka_servers
from servers.forwarder import Forwarder
from servers.kafka import KafkaServer
from streams.stream_project import SETTINGS, made, until

PIPELINE = """
from penstock import Pipeline, checks, sources
clicks = Pipeline(
    name="clicks",
    sources=[sources.kafka("events", topics="TOPIC", table="clicks", stream={"every": "EVERY", "live": True})],
    checks={"clicks": [checks.between("watched", 0, 86_400, severity="quarantine")]},
)
"""
_OWN = 'partition::VARCHAR AS p, "offset" AS o'
_FOUND = "SELECT n, _partition AS p, _offset AS o, user AS u, watched AS w, text AS t FROM"


class Topic:
    """A topic with a line to it that can be cut, and a project that reads it."""

    def __init__(self, kafka: KafkaServer, folder: Path, asked: Asked) -> None:
        self.kafka, self.folder, self.asked = kafka, folder, asked
        self.name = kafka.create(f"soaked-{time.monotonic_ns()}", PARTITIONS)
        self.line = Forwarder(kafka.outside, kafka.forwarded)
        self.hosts = f"127.0.0.1:{self.line.port}"
        self.project = folder / "project"
        self.acknowledged = folder / "acknowledged.parquet"

    def make(self, every: str) -> None:
        pipeline = PIPELINE.replace("TOPIC", self.name).replace("EVERY", every)
        made(self.project, pipeline, f'{SETTINGS}[connections.events]\nurl = "kafka://{self.hosts}"\n')

    def produce(self) -> subprocess.Popen[bytes]:
        """Begin to produce; returns once the first events have arrived."""
        program = str(Path(__file__).with_name("producing.py"))
        how = (self.asked.events, self.asked.seconds * 0.9, self.asked.seed, self.acknowledged)
        begun = subprocess.Popen([sys.executable, program, self.hosts, self.name, *map(str, how)])
        try:
            until((self.project / "data/production/warehouse.live/clicks.duckdb").exists)
        except AssertionError:
            begun.kill()
            raise
        return begun

    def restart(self, chance: Random, wait: Wait) -> str:
        """Kill the broker, and start it again."""
        self.kafka.kill()
        wait(chance.uniform(0, 2))
        self.kafka.start()
        return "killed, and started"

    def compare(self, verdict: Verdict) -> None:
        data = self.project / "data"
        with duckdb.connect() as connection:
            expected = EXPECTED.format(own=_OWN, seed=self.asked.seed, of=f"read_parquet('{self.acknowledged}')")
            good = f"SELECT * FROM ({expected}) WHERE w >= 0"
            connection.execute(f"ATTACH '{data}/staging/warehouse.duckdb' AS warehouse (READ_ONLY)")
            connection.execute(f"ATTACH '{data}/production/warehouse.live/clicks.duckdb' AS live (READ_ONLY)")
            lake = lake_files(data / "staging/lake/raw_clicks")
            verdict.compare(connection, "lake", expected, f"{_FOUND} {lake}")
            verdict.compare(connection, "warehouse", good, f"{_FOUND} warehouse.raw_clicks")
            verdict.compare(connection, "production", good, f"{_FOUND} live.clicks")
            ((bad,),) = connection.execute(f"SELECT count(*) FROM ({expected}) WHERE w < 0").fetchall()
        with Project(self.project) as project:
            found = sum(each.rows for each in project.quarantine.summaries("clicks"))
        verdict.rows["quarantine"] = found
        verdict.lost["quarantine"], verdict.foreign["quarantine"] = max(0, bad - found), max(0, found - bad)


def storm(crew: Crew, longest: float, chance: Random, wait: Wait) -> str:
    """Let members come and go, one each second."""
    turns = max(2, round(longest))
    for _ in range(turns):
        crew.size += 1
        wait(0.5)
        crew.size -= 1
        crew.kill(chance, wait)
        wait(0.5)
    return f"{turns} members came and went"


def soak(topic: Topic, longest: float, members: int, *, disk_size: str, alone: bool) -> Verdict:
    """Soak, and compare; only a broker that has no other clients is killed."""
    with disk(topic.project, disk_size) as own:
        topic.make("1s" if alone else "200ms")
        said = topic.folder / "said"
        with Crew(topic.project, said, ("stream", "--share"), members, Company.BESIDE) as crew:
            hurts: dict[str, Hurt] = {
                "kill": crew.kill,
                "sleep": partial(crew.sleep, longest),
                "storm": partial(storm, crew, longest),
                **line_hurts(topic.line, longest),
            }
            if own is not None:
                hurts["disk"] = partial(own.full, longest)
            if alone:
                hurts["broker"] = topic.restart
            return soaked(
                Soak(
                    name="kafka",
                    asked=topic.asked,
                    folder=topic.folder,
                    project=topic.project,
                    crews=[crew],
                    ready=lambda: bool(crew.begun),
                    begin=topic.produce,
                    hurts=hurts,
                    fine=frozenset({4}),
                    compare=topic.compare,
                )
            )


def test_hurt_for_seconds_each_event_counts_once(kafka: KafkaServer, tmp_path: Path) -> None:
    topic = Topic(kafka, tmp_path, Asked(6_000, 8, "short"))
    try:
        soak(topic, 1.0, 2, disk_size="256m", alone=False)
    finally:
        topic.line.cut()


@pytest.mark.slow
def test_hurt_for_minutes_each_event_counts_once(tmp_path: Path) -> None:
    with kafka_servers.running() as kafka:
        topic = Topic(kafka, tmp_path, Asked.of_environment(5_000_000, 1200))
        try:
            verdict = soak(topic, 10.0, 3, disk_size="8g", alone=True)
        finally:
            topic.line.cut()
    assert len(verdict.hurts) == 7, "a long form hurts the disk as well; that takes a machine that can mount one"
