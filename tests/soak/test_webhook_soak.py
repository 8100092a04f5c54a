"""Webhooks while server, stream, line and disk are hurt: what was answered for is there, once."""

from __future__ import annotations

import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import duckdb
import pytest
from crew import Company, Crew
from producing import EXPECTED
from sending import SECRET
from soaking import Soak, soaked
from trouble import Hurt, disk, line_hurts
from verdict import Asked, Verdict, lake_files

from servers.debian import free_port
from servers.forwarder import Forwarder
from streams.stream_project import SETTINGS, made

_SHOP = """
[connections.shop]
url = "webhook:///hooks/shop"
signature = "github"
secret = "${SHOP_SECRET}"
[serve]
listen = "127.0.0.1:PORT"
"""
_PIPELINE = """
from penstock import Pipeline, sources
clicks = Pipeline(
    name="clicks", sources=[sources.webhook("shop", table="clicks", stream={"every": "500ms"})]
)
"""
_FOUND = "SELECT n, _message_id AS id, user AS u, watched AS w, text AS t FROM"


def listening(port: int) -> bool:
    """Say whether somebody takes connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def compare(folder: Path, asked: Asked, verdict: Verdict) -> None:
    """Compare with what was answered for: all of it."""
    data = folder / "project/data"
    sent = f"(SELECT range AS n FROM range({asked.events}))"
    expected = EXPECTED.format(own="'d' || n AS id", seed=asked.seed, of=sent)
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{data}/staging/warehouse.duckdb' AS warehouse (READ_ONLY)")
        lake = lake_files(data / "staging/lake/raw_clicks")
        verdict.compare(connection, "lake", expected, f"{_FOUND} {lake}")
        verdict.compare(connection, "warehouse", expected, f"{_FOUND} warehouse.raw_clicks")


def soak(folder: Path, asked: Asked, longest: float, disk_size: str) -> Verdict:
    """Soak, and compare."""
    port, place, said = free_port(), folder / "project", folder / "said"
    line = Forwarder(port)

    def send() -> subprocess.Popen[bytes]:
        program = str(Path(__file__).with_name("sending.py"))
        how = (line.port, asked.events, asked.seconds * 0.9, asked.seed)
        return subprocess.Popen([sys.executable, program, *map(str, how)])

    with disk(place, disk_size) as own:
        made(place, _PIPELINE, SETTINGS + _SHOP.replace("PORT", str(port)))
        with (
            Crew(place, said, ("serve",), 1, Company.NONE) as servers,
            Crew(place, said, ("stream", "clicks"), 1, Company.AFTER) as streams,
        ):
            hurts: dict[str, Hurt] = {
                "kill server": servers.kill,
                "sleep server": partial(servers.sleep, longest),
                "kill stream": streams.kill,
                "sleep stream": partial(streams.sleep, longest),
                **line_hurts(line, longest),
            }
            if own is not None:
                hurts["disk"] = partial(own.full, longest)
            try:
                return soaked(
                    Soak(
                        name="webhooks",
                        asked=asked,
                        folder=folder,
                        project=place,
                        crews=[servers, streams],
                        ready=lambda: listening(port),
                        begin=send,
                        hurts=hurts,
                        # 5: another has the lease.
                        fine=frozenset({4, 5}),
                        compare=partial(compare, folder, asked),
                    )
                )
            finally:
                line.cut()


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_SECRET", SECRET.decode())


def test_hurt_for_seconds_what_was_answered_for_counts_once(tmp_path: Path) -> None:
    soak(tmp_path, Asked(1_500, 8, "short"), 1.0, "256m")


@pytest.mark.slow
def test_hurt_for_minutes_what_was_answered_for_counts_once(tmp_path: Path) -> None:
    verdict = soak(tmp_path, Asked.of_environment(300_000, 1200), 10.0, "4g")
    assert "disk" in verdict.hurts, "a long form hurts the disk as well; that takes a machine that can mount one"
