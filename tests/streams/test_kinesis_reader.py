"""Kinesis as its reader sees it: shards that are split and merged, what expired, what is refused."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from brokers import connected
from kinesis_stand import KinesisStand
from test_readers import drained, moved, numbered, values

from penstock import sources
from penstock.errors import ConfigurationError, DataError, TransientError
from penstock.extract.streams.kinesis.source import KinesisSource
from penstock.extract.streams.port import Opening, Reader
from servers.debian import free_port

FIRST = "shardId-000000000000"


@pytest.fixture
def stand(kinesis: str, tmp_path: Path) -> KinesisStand:
    return KinesisStand(kinesis, tmp_path)


def opened(stream: str, connection: Any) -> Reader:
    source = sources.kinesis("events", stream_name=stream, table="clicks")
    return KinesisSource().open(Opening(source=source, connection=connection, positions={}))


def split(stand: KinesisStand) -> None:
    shard = stand.client.list_shards(StreamName=stand.name)["Shards"][0]["HashKeyRange"]
    middle = (int(shard["StartingHashKey"]) + int(shard["EndingHashKey"])) // 2
    stand.client.split_shard(StreamName=stand.name, ShardToSplit=FIRST, NewStartingHashKey=str(middle))
    stand.client.get_waiter("stream_exists").wait(StreamName=stand.name, WaiterConfig={"Delay": 1})


def test_a_record_comes_with_all_that_it_has(stand: KinesisStand) -> None:
    stand.append([b"x", b"\x00\n\xff"], key="user 7")
    with closing(stand.open()) as reader:
        runs = [run for polled in drained(reader)[0] for run in polled.runs]
    rows = [row for run in runs for row in run.data.to_pylist()]
    assert [(row["offset"], row["key"], row["value"]) for row in rows] == [
        (0, "user 7", b"x"),
        (1, "user 7", b"\x00\n\xff"),
    ]
    assert {run.place for run in runs} == {FIRST}
    assert rows[0]["headers"][0]["name"] == "sequence_number"
    assert int(rows[0]["headers"][0]["value"]) < int(rows[1]["headers"][0]["value"])


def test_children_are_read_after_their_parent_and_a_restart_knows_where(stand: KinesisStand) -> None:
    stand.append(numbered(0, 20))
    split(stand)
    for number in range(20, 60):
        stand.append(numbered(number, 1), key=f"key {number}")
    at: Any = {}
    found: list[tuple[str, bytes]] = []
    for _ in range(400):
        with closing(stand.open(at)) as reader:
            polled = reader.poll(150, 1)
            at = moved(at, polled)
        found += [(run.partition, value) for run in polled.runs for value in run.data.column("value").to_pylist()]
        if len(found) >= 60:
            break
    assert sorted(value for _, value in found) == sorted(numbered(0, 60))
    assert [value for shard, value in found[:20]] == numbered(0, 20)
    assert {shard for shard, _ in found[:20]} == {FIRST}
    assert len({shard for shard, _ in found[20:]}) == 2
    with closing(stand.open(at)) as reader:
        assert not values(drained(reader, at)[0])


def test_what_may_have_expired_stops_the_stream_or_is_recorded_once(stand: KinesisStand) -> None:
    stand.append(numbered(0, 5))
    with closing(stand.open()) as reader:
        _, at = drained(reader)
    old = {**at[stand.name], f"arrival in {FIRST}": at[stand.name][f"arrival in {FIRST}"] - 25 * 3600 * 10**6}
    at = {stand.name: old}
    stand.append(numbered(5, 2))
    with pytest.raises(DataError, match=r"'clicks' cannot go on: .*older than the 24 hours it keeps.*on_gap='record'"):
        stand.open(at)
    with closing(stand.open(at, on_gap="record")) as reader:
        polls, at = drained(reader, at)
        assert values(polls) == numbered(5, 2)
        assert [len(polled.gaps) for polled in polls if polled.gaps] == [1]
    with closing(stand.open(at)) as reader:
        assert not values(drained(reader, at)[0])


def test_a_stream_that_was_made_anew_is_read_from_its_beginning_also_after_a_restart(stand: KinesisStand) -> None:
    stand.append(numbered(0, 10))
    with closing(stand.open()) as reader:
        _, at = drained(reader)
    stand.lose([])
    with closing(stand.open(at, on_gap="record")) as reader:
        polls, at = drained(reader, at)
        assert [gap.reason for polled in polls for gap in polled.gaps] == ["the stream was made anew"]
    stand.append(numbered(50, 30))
    with closing(stand.open(at)) as reader:
        assert values(drained(reader, at)[0]) == numbered(50, 30)


def test_what_is_not_there_is_named(stand: KinesisStand) -> None:
    with pytest.raises(ConfigurationError, match="no stream 'orderz' in the Kinesis of connection 'events'"):
        opened("orderz", stand.known())
    with pytest.raises(TransientError, match="'events' cannot be reached"):
        opened(stand.name, stand.known(endpoint=f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(ConfigurationError, match="names no region of Kinesis"):
        opened(stand.name, connected("kinesis://"))
    with pytest.raises(ConfigurationError, match="names no stream of Kinesis"):
        sources.kinesis("events", stream_name="", table="t")


def test_without_credentials_it_is_said_so(stand: KinesisStand, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(stand.folder / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(stand.folder / "none"))
    endpoint = stand.known().options["endpoint"]
    with pytest.raises(ConfigurationError, match="'events' has no credentials of AWS"):
        opened(stand.name, connected("kinesis://eu-central-1", endpoint=endpoint))
