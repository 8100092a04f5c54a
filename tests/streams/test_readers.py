"""What every reader of a stream promises, whatever it reads from."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest
from brokers import Stand, TailStand
from every_broker import BROKERS, QUEUES, UNORDERED, stand_of

from penstock.errors import DataError
from penstock.extract.streams.port import MESSAGES, Ending, Polled, Reader
from penstock.model.streams import Positions, advanced, behind

_BROKERS = [name for name in BROKERS if name not in QUEUES]


@pytest.fixture(params=["tail", *(name for name in BROKERS if name not in UNORDERED)])
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Stand:
    return TailStand(tmp_path) if request.param == "tail" else stand_of(request.param, request, tmp_path)


def numbered(first: int, count: int) -> list[bytes]:
    return [b'{"n": %d}' % n for n in range(first, first + count)]


def values(polls: list[Polled]) -> list[bytes]:
    return [value for polled in polls for run in polled.runs for value in run.data.column("value").to_pylist()]


def moved(at: Positions, polled: Polled) -> Positions:
    gaps = [(gap.topic, gap.partition, gap.found) for gap in polled.gaps]
    return advanced(at, [*gaps, *((run.topic, run.partition, run.following) for run in polled.runs), *polled.moved])


def drained(reader: Reader, at: Positions | None = None, most: int = 2**20) -> tuple[list[Polled], Positions]:
    """Read until nothing is behind."""
    at, ends = at or {}, reader.ends()
    polls = [reader.poll(most, 0)]
    at = moved(at, polls[0])
    last = time.monotonic() + 30
    while not reader.reached(at) if isinstance(reader, Ending) else behind(at, ends):
        polls.append(reader.poll(most, 0.2))
        assert polls[-1] or time.monotonic() < last, f"nothing came within 30 s: {at} of {ends}"
        at = moved(at, polls[-1])
    return polls, at


def test_messages_come_once_in_their_order(stand: Stand) -> None:
    stand.append(numbered(0, 1000))
    with closing(stand.open()) as reader:
        polls, at = drained(reader)
        assert values(polls) == numbered(0, 1000)
        stand.append(numbered(1000, 10))
        polls, at = drained(reader, at)
        assert values(polls) == numbered(1000, 10)
        assert not reader.poll(2**20, 0)


def test_offsets_rise_and_the_columns_are_those_of_the_port(stand: Stand) -> None:
    stand.append(numbered(0, 50))
    with closing(stand.open()) as reader:
        runs = [run for polled in drained(reader)[0] for run in polled.runs]
        offsets = [offset for run in runs for offset in run.data.column("offset").to_pylist()]
        assert offsets == sorted(set(offsets))
        for run in runs:
            assert run.following > run.data.column("offset")[-1].as_py()
            assert set(run.data.schema.names) <= set(MESSAGES.names)
            assert set(reader.envelope.values()) <= {*run.data.schema.names, "topic", "partition"}


def test_it_goes_on_at_the_positions_after_each_poll(stand: Stand) -> None:
    stand.append(numbered(0, 200))
    at: Positions = {}
    found = list[bytes]()
    while len(found) < 200:
        with closing(stand.open(at)) as reader:
            polled = reader.poll(500, 5)
            found += values([polled])
            at = moved(at, polled)
    assert found == numbered(0, 200)
    with closing(stand.open(at)) as reader:
        assert not behind(at, reader.ends())
        assert not reader.poll(2**20, 0)


def test_what_was_polled_and_not_landed_comes_again(stand: Stand) -> None:
    stand.append(numbered(0, 20))
    with closing(stand.open()) as reader:
        drained(reader)
    with closing(stand.open()) as reader:
        assert values(drained(reader)[0]) == numbered(0, 20)


def test_a_poll_is_bounded_in_bytes(stand: Stand) -> None:
    stand.append([b'{"text": "%s"}' % (b"x" * 10_000) for _ in range(200)])
    with closing(stand.open()) as reader:
        polls, _ = drained(reader, most=100_000)
        assert len(values(polls)) == 200
        assert max(polled.bytes for polled in polls) < 200_000


def test_a_message_that_is_larger_than_the_bound_comes(stand: Stand) -> None:
    stand.append([b'"%s"' % (b"x" * 50_000), b'"%s"' % (b"y" * 50_000)])
    with closing(stand.open()) as reader:
        assert [len(value) for value in values(drained(reader, most=100)[0])] == [50_002, 50_002]


def test_an_empty_stream_has_nothing_behind(stand: Stand) -> None:
    with closing(stand.open()) as reader:
        polls, at = drained(reader)
        assert not values(polls)
        stand.append(numbered(0, 3))
        assert values(drained(reader, at)[0]) == numbered(0, 3)


@pytest.mark.parametrize("stand", ["tail", *_BROKERS], indirect=True)
def test_it_may_begin_with_what_comes_and_a_restart_begins_there_too(stand: Stand) -> None:
    stand.append(numbered(0, 5))
    with closing(stand.open(start="latest")) as reader:
        polled = reader.poll(2**20, 0.1)
        assert not values([polled])
        at = moved({}, polled)
    stand.append(numbered(5, 3))
    with closing(stand.open(at, start="latest")) as reader:
        assert values(drained(reader, at)[0]) == numbered(5, 3)


def test_messages_are_waited_for(stand: Stand) -> None:
    with closing(stand.open()) as reader:
        reader.poll(2**20, 0)
        stand.append(numbered(0, 1))
        assert values([reader.poll(2**20, 20)]) == numbered(0, 1)


@pytest.mark.parametrize("stand", ["tail", *_BROKERS], indirect=True)
def test_what_is_gone_stops_the_stream(stand: Stand) -> None:
    stand.append(numbered(0, 100))
    with closing(stand.open()) as reader:
        at = moved({}, reader.poll(500, 5))
        stand.lose(numbered(100, 2))
        with pytest.raises(
            DataError, match=r"'clicks' cannot go on: Partition .* no longer has offset .*on_gap='record'"
        ):
            drained(reader, at)
    with pytest.raises(DataError, match=r"'clicks' cannot go on"), closing(stand.open(at)) as reader:
        drained(reader, at)


@pytest.mark.parametrize("stand", ["tail", *_BROKERS], indirect=True)
def test_what_is_gone_is_recorded_once_and_reading_goes_on(stand: Stand) -> None:
    stand.append(numbered(0, 100))
    with closing(stand.open()) as reader:
        at = moved({}, reader.poll(500, 5))
    stand.lose(numbered(100, 5))
    with closing(stand.open(at, on_gap="record")) as reader:
        polls, after = drained(reader, at)
        assert values(polls) == numbered(100, 5)
        gaps = [gap for polled in polls for gap in polled.gaps]
        assert [gap.wanted for gap in gaps] == [at[gaps[0].topic][gaps[0].partition]]
    stand.append(numbered(105, 5))
    with closing(stand.open(after)) as reader:
        polls, _ = drained(reader, after)
        assert values(polls) == numbered(105, 5)


# Others cannot tell whether all of what is gone had been read.
@pytest.mark.parametrize("stand", ["redis", "nats"], indirect=True)
def test_what_was_read_may_go(stand: Stand) -> None:
    stand.append(numbered(0, 50))
    with closing(stand.open()) as reader:
        _, at = drained(reader)
        stand.lose(numbered(50, 5))
        polls, at = drained(reader, at)
        assert values(polls) == numbered(50, 5)
    stand.lose(numbered(55, 5))
    with closing(stand.open(at)) as reader:
        polls, at = drained(reader, at)
        assert values(polls) == numbered(55, 5)


def test_it_is_told_of_what_is_safe_and_closed_twice(stand: Stand) -> None:
    stand.append(numbered(0, 5))
    reader = stand.open()
    _, at = drained(reader)
    reader.acknowledge(at)
    stand.append(numbered(5, 2))
    assert values(drained(reader, at)[0]) == numbered(5, 2)
    reader.close()
    reader.close()
