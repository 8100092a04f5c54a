"""Webhooks from the sender to the warehouse: each event that was answered for counts once, whatever is killed."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from stream_project import SETTINGS, begun, in_lake, in_warehouse, made, penstock, said

from penstock.errors import ConfigurationError
from penstock.project import Project
from servers.debian import free_port

SECRET = b"s3cr3t of the shop"
SHOP = """
[connections.shop]
url = "webhook:///hooks/shop"
signature = "github"
secret = "${SHOP_SECRET}"
most = "2kB"
[serve]
listen = "127.0.0.1:PORT"
"""
PIPELINE = """
from penstock import Pipeline, checks, sources
clicks = Pipeline(
    name="clicks",
    sources=[sources.webhook("shop", table="clicks", stream={"every": "200ms"})],
    checks={"clicks": [checks.not_null("user")]},
)
"""


class Shop:
    """A project that takes webhooks, and those who send them."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = made(folder, PIPELINE, SETTINGS + SHOP.replace("PORT", str(self.port)))
        self.running: list[subprocess.Popen[str]] = []

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        self.running.append(begun(self.folder, *arguments))
        return self.running[-1]

    def send(self, id_: str, body: bytes, path: str = "/hooks/shop", **headers: str) -> tuple[int, str]:
        """Post an event; returns the status, 0 where there was no answer."""
        signed = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
        sent = {"X-Hub-Signature-256": signed, "X-GitHub-Delivery": id_} | headers
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("POST", path, body, sent)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

    def serve(self) -> subprocess.Popen[str]:
        process = self.begin("serve")
        end = time.monotonic() + 60
        while self.send("", b"", "/nowhere")[0] != 404:
            assert process.poll() is None, said(self.folder)
            assert time.monotonic() < end, said(self.folder)
            time.sleep(0.05)
        return process


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setenv("SHOP_SECRET", SECRET.decode())
    made_ = Shop(tmp_path)
    yield made_
    for process in made_.running:
        process.kill()
        process.wait()


def event(n: int) -> bytes:
    return json.dumps({"user": f"u{n % 7}", "n": n}).encode()


def test_what_is_taken_lands_and_what_is_not_is_refused_by_a_sentence(shop: Shop) -> None:
    server = shop.serve()
    for n in (0, 1, 2, 1, 0):
        assert shop.send(f"d{n}", event(n)) == (200, '{"status": "ok"}')
    refused = [
        shop.send("d9", event(9), **{"X-Hub-Signature-256": "sha256=" + "0" * 64}),
        shop.send("d9", b"x" * 2001),
        shop.send("d 9", event(9)),
        shop.send("d9", event(9), "/hooks/other"),
    ]
    assert [status for status, _ in refused] == [401, 413, 400, 404]
    assert all(json.loads(body)["error"] for _, body in refused)
    assert shop.send("poison", b"{no json") == (200, '{"status": "ok"}')
    assert shop.send("d3", event(3)) == (200, '{"status": "ok"}')
    assert penstock(shop.folder, "stream", "--until-end").returncode == 0
    assert in_warehouse(shop.folder) == Counter(range(4))
    with Project(shop.folder) as project:
        assert [(found.rows, found.open) for found in project.quarantine.summaries("clicks")] == [(1, 1)]
        project.quarantine.export("clicks", str(shop.folder / "lines.jsonl"), lines=True)
    (line,) = [json.loads(text) for text in (shop.folder / "lines.jsonl").read_text().splitlines()]
    assert (line["_line"], json.loads(line["_origin_detail"])["key"]) == ("{no json", "poison")
    server.send_signal(signal.SIGTERM)
    assert server.wait(60) == 0, said(shop.folder)
    assert f"Webhooks for clicks are taken at http://127.0.0.1:{shop.port}/hooks/shop." in said(shop.folder)
    assert SECRET.decode() not in said(shop.folder)


def test_each_event_counts_once_whatever_is_killed(shop: Shop) -> None:
    """Senders send what was not answered for again, as senders do; the server and the stream die at random."""
    chance, senders, each = random.Random(11), 6, 40
    tries: Counter[int] = Counter()
    left = senders

    def sending(first: int) -> None:
        nonlocal left
        for n in range(first, senders * each, senders):
            while shop.send(f"delivery-{n}", event(n))[0] != 200:
                tries[n] += 1
                time.sleep(0.05)
            time.sleep(0.02)
        left -= 1

    server, stream = shop.serve(), shop.begin("stream", "clicks")
    threads = [threading.Thread(target=sending, args=(first,)) for first in range(senders)]
    for thread in threads:
        thread.start()
    kills = 0
    while left or kills < 3:
        time.sleep(chance.uniform(0.3, 1.5))
        server.kill()
        server.wait()
        if chance.random() < 0.5:
            stream.kill()
            stream.wait()
            stream = shop.begin("stream", "clicks")
        kills += 1
        server = shop.serve()
        time.sleep(1.0)
    for thread in threads:
        thread.join()
    for process in (stream, server):
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, said(shop.folder)
    assert penstock(shop.folder, "stream", "--until-end").returncode == 0
    expected = Counter(range(senders * each))
    assert in_lake(shop.folder) == expected
    assert in_warehouse(shop.folder) == expected
    assert tries


def test_a_connection_that_cannot_be_is_told_before_anybody_listens(tmp_path: Path) -> None:
    bad = [
        ('url = "webhook:///hooks/a b"', "is no place for webhooks"),
        ('url = "webhook:///a"\nsignature = "md5"\nsecret = "${PATH}"', r"signature.*md5.*standard"),
        ('url = "webhook:///a"', "cannot be checked without a secret"),
        ('url = "webhook:///a"\nsecret = "${HOME}"', "none of the scheme standard"),
        ('url = "webhook:///a"\nwindows = "5m"', r"windows.*window"),
    ]
    for number, (given, why) in enumerate(bad):
        folder = made(tmp_path / str(number), PIPELINE, f"{SETTINGS}[connections.shop]\n{given}\n")
        with pytest.raises(ConfigurationError, match=why), Project(folder) as project:
            project.inboxes()
