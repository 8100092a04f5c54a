"""Inboxes on the disk: what was answered for is there, whatever died, and is read once."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import DataError, LeaseHeldError
from penstock.extract.streams.port import Opening, Reader
from penstock.extract.streams.webhooks import segments
from penstock.extract.streams.webhooks.inbox import Inbox, InboxSpec
from penstock.extract.streams.webhooks.signatures import RefusedError
from penstock.extract.streams.webhooks.source import WebhookSource
from penstock.extract.streams.webhooks.spool import Spool
from penstock.model.specs import ConnectionSpec, SourceSpec
from penstock.model.streams import OnGap, Positions, Start, StreamSpec

BODIES = [b"{}", b"", b"a\tb\nc\x1bn\x1be\x1b", bytes(range(256)), b"\n" * 50, "ä€😀".encode()]


def spec(folder: Path, **given: Any) -> InboxSpec:
    return InboxSpec(table="t", path="/t", folder=folder, signature="none", **given)


def take(inbox: Inbox, id_: str, body: bytes) -> OSError | None:
    """Take an event and wait until it is durable."""
    answered: list[OSError | None] = []
    there = threading.Event()
    inbox.take({"webhook-id": id_}, body, lambda problem: (answered.append(problem), there.set())[0])
    assert there.wait(30)
    return answered[0]


def reader(folder: Path, positions: Positions | None = None, **given: Any) -> Reader:
    stream = StreamSpec(format="bytes", **given)
    source = SourceSpec(table="t", kind="webhook", connection="c", options={"folder": str(folder)}, stream=stream)
    connection = ConnectionSpec(name="c", kind="webhook", url="webhook:///t", options={"remember": "0s"})
    return WebhookSource().open(
        Opening(source=source, connection=connection, positions=positions or {}, root=str(folder.parent))
    )


def drained(found: Reader, most: int = 10_000) -> list[tuple[int, str, bytes]]:
    """Return offset, id and body of all that is there."""
    listed = []
    while polled := found.poll(most, 0.0):
        for run in polled.runs:
            listed += [(row["offset"], row["key"], row["value"]) for row in run.data.to_pylist()]
    return listed


def test_bodies_of_any_bytes_come_back_as_they_were(tmp_path: Path) -> None:
    inbox = Inbox(spec(tmp_path / "in", segment=200))
    for number, body in enumerate(BODIES * 3):
        assert take(inbox, f"e{number}", body) is None
    inbox.close()
    assert len(segments.listed(tmp_path / "in")) > 3
    for most in (1, 100, 10_000):
        found = drained(reader(tmp_path / "in"), most)
        assert [(id_, body) for _, id_, body in found] == [(f"e{n}", body) for n, body in enumerate(BODIES * 3)]
    offsets = [offset for offset, _, _ in found]
    assert offsets == sorted(set(offsets))
    for place, offset in enumerate(offsets):
        rest = drained(reader(tmp_path / "in", {"t": {"0": offset}}))
        assert [id_ for _, id_, _ in rest] == [f"e{n}" for n in range(place, len(offsets))]


def test_an_event_is_taken_once_also_by_the_next_process(tmp_path: Path) -> None:
    inbox = Inbox(spec(tmp_path / "in"))
    for _ in range(3):
        assert take(inbox, "same", b"1") is None
    inbox.close()
    again = Inbox(spec(tmp_path / "in"))
    assert take(again, "same", b"1") is None
    assert take(again, "other", b"2") is None
    again.close()
    assert [id_ for _, id_, _ in drained(reader(tmp_path / "in"))] == ["same", "other"]
    forgetful = Inbox(spec(tmp_path / "in", remembered=0.0))
    assert take(forgetful, "same", b"1") is None
    forgetful.close()
    assert [id_ for _, id_, _ in drained(reader(tmp_path / "in"))] == ["same", "other", "same"]


def test_events_of_any_bytes_are_known_to_the_next_process(tmp_path: Path) -> None:
    for _ in range(2):
        inbox = Inbox(spec(tmp_path / "in"))
        for number, body in enumerate([*BODIES, b"a\rb\r\nc"]):
            assert take(inbox, f"e{number}", body) is None
        inbox.close()
    assert [id_ for _, id_, _ in drained(reader(tmp_path / "in"))] == [f"e{n}" for n in range(len(BODIES) + 1)]


def test_the_same_event_at_the_same_time_is_written_once_and_answered_each_time(tmp_path: Path) -> None:
    inbox = Inbox(spec(tmp_path / "in"))
    answers: list[OSError | None] = []
    threads = [threading.Thread(target=lambda: answers.append(take(inbox, "one", b"x"))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    inbox.close()
    assert answers == [None] * 16
    assert len(drained(reader(tmp_path / "in"))) == 1


def test_a_line_that_was_torn_is_cut_off_and_nothing_else(tmp_path: Path) -> None:
    inbox = Inbox(spec(tmp_path / "in"))
    for number in range(3):
        take(inbox, f"e{number}", b"x" * 50)
    inbox.close()
    (segment,) = segments.listed(tmp_path / "in")
    with segment.path.open("ab") as file:
        file.write(b"1795328667004068\te3\tnever answ")
    before = reader(tmp_path / "in")
    assert len(drained(before)) == 3
    again = Inbox(spec(tmp_path / "in"))
    take(again, "e3", b"whole")
    again.close()
    assert [(id_, body) for _, id_, body in drained(before)] == [("e3", b"whole")]


FULL = """
import resource, signal, sys, threading
from pathlib import Path
from penstock.extract.streams.webhooks import segments
from penstock.extract.streams.webhooks.spool import Spool
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
spool = Spool(Path(sys.argv[1]))
answers, lock, done = [], threading.Lock(), threading.Event()
def told(number):
    def tell(problem):
        with lock:
            answers.append((number, problem is None))
            if len(answers) == 300:
                done.set()
    return tell
with spool._asked:
    # All of them wait for one write.
    for number in range(300):
        spool._waiting.append((segments.line(number, f"e{number}", b"x" * 50), told(number)))
    spool._asked.notify()
done.wait(30)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
later = threading.Event()
spool.append(segments.line(0, "later", b"x"), lambda problem: later.set())
later.wait(30)
spool.close()
print(*(number for number, good in sorted(answers) if good))
"""


def test_on_a_full_disk_what_was_answered_for_is_there_and_what_was_not_is_not(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "in")], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    answered = [f"e{number}" for number in said.split()]
    assert 0 < len(answered) < 300
    assert [id_ for _, id_, _ in drained(reader(tmp_path / "in"))] == [*answered, "later"]


def test_one_process_writes_and_the_next_may_once_it_has_ended(tmp_path: Path) -> None:
    first = Spool(tmp_path / "in")
    with pytest.raises(LeaseHeldError, match="written by another process"):
        Spool(tmp_path / "in")
    second = Inbox(spec(tmp_path / "in"))
    with pytest.raises(RefusedError) as refused:
        take(second, "e", b"x")
    assert refused.value.status == 503
    first.close()
    assert take(second, "e", b"x") is None
    second.close()


def test_beyond_the_backlog_senders_are_asked_to_come_again_until_it_is_committed(tmp_path: Path) -> None:
    inbox = Inbox(spec(tmp_path / "in", backlog=1000, segment=500))
    taken, refused = 0, None
    while refused is None and taken < 1000:
        # It looks once a second.
        inbox._looked = 0.0
        try:
            take(inbox, f"e{taken}", b"x" * 100)
            taken += 1
        except RefusedError as error:
            refused = (error.status, error.why)
    assert refused == (503, "Too many events wait to be read")
    assert 5 < taken < 15
    found = reader(tmp_path / "in")
    assert len(drained(found)) == taken
    found.acknowledge(found.ends())
    inbox._looked = 0.0
    assert take(inbox, "next", b"x") is None
    inbox.close()
    # All but the last segment were committed, and nobody sends their events again.
    assert len(segments.listed(tmp_path / "in")) <= 2


def test_events_that_are_gone_stop_the_stream_or_are_declared(tmp_path: Path) -> None:
    inbox = Inbox(spec(tmp_path / "in", segment=100))
    for number in range(4):
        take(inbox, f"e{number}", b"x" * 100)
    inbox.close()
    found = segments.listed(tmp_path / "in")
    found[1].path.unlink()
    stopping = reader(tmp_path / "in")
    with pytest.raises(DataError, match=rf"no longer has offset {found[1].start}: it goes on at {found[2].start}"):
        drained(stopping)
    polled = reader(tmp_path / "in", on_gap=OnGap.RECORD).poll(10_000, 0.0)
    assert [(gap.wanted, gap.found) for gap in polled.gaps] == [(found[1].start, found[2].start)]
    assert sum(run.data.num_rows for run in polled.runs) == 3
    assert drained(reader(tmp_path / "in", start=Start.LATEST)) == []


KILLED = """
import sys, threading
from pathlib import Path
from penstock.extract.streams.webhooks.inbox import Inbox, InboxSpec
inbox = Inbox(InboxSpec(table="t", path="/t", folder=Path(sys.argv[1]), signature="none", segment=5_000))
lock = threading.Lock()
def told(number):
    def tell(problem):
        with lock:
            print(number, flush=True)
    return tell
number = int(sys.argv[2])
while True:
    inbox.take({"webhook-id": f"e{number}"}, b"x" * (number % 300), told(number))
    number += 1
"""


def test_what_was_answered_for_outlives_a_kill(tmp_path: Path) -> None:
    chance = random.Random(4)
    answered: set[int] = set()
    first = 0
    for _ in range(6):
        command = [sys.executable, "-c", KILLED, str(tmp_path / "in"), str(first)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                answered.add(int(line))
                if chance.random() < 0.003:
                    break
            process.kill()
            # What was said and not yet heard was said all the same.
            answered |= {int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")}
        first = max(answered) + 100_000
    found = [int(id_[1:]) for _, id_, _ in drained(reader(tmp_path / "in"))]
    assert len(found) == len(set(found))
    assert answered <= set(found)
    assert len(answered) > 500
    assert os.path.exists(tmp_path / "in/.lock")
