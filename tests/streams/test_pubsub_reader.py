"""Pub/Sub as its reader sees it: acknowledged after the commit, given out again, refused."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from brokers import connected
from pubsub_stand import PubSubStand
from test_readers import drained, numbered, values

from penstock import sources
from penstock.errors import ConfigurationError, TransientError
from penstock.extract.streams.port import Opening
from penstock.extract.streams.pubsub.source import PubSubSource
from servers.debian import free_port


@pytest.fixture
def stand(pubsub: str, tmp_path: Path) -> PubSubStand:
    return PubSubStand(pubsub, tmp_path)


def waiting(stand: PubSubStand) -> int:
    """Return how many messages were given to nobody; they are given back."""
    found = stand.subscriber.pull(subscription=stand.subscription, max_messages=1000, return_immediately=True)
    ids = [each.ack_id for each in found.received_messages]
    if ids:
        stand.subscriber.modify_ack_deadline(subscription=stand.subscription, ack_ids=ids, ack_deadline_seconds=0)
    return len(ids)


@pytest.mark.filterwarnings("ignore:The return_immediately flag is deprecated")
def test_messages_are_acknowledged_after_their_commit_and_count_once(stand: PubSubStand) -> None:
    stand.append([*numbered(0, 300), b"same", b"same"])
    with closing(stand.open()) as reader:
        polls, at = drained(reader)
        assert Counter(values(polls)) == Counter([*numbered(0, 300), b"same", b"same"])
    assert waiting(stand) == 302
    stand.append(numbered(300, 3))
    with closing(stand.open(at)) as reader:
        polls, at = drained(reader, at)
        assert sorted(values(polls)) == sorted(numbered(300, 3))
        reader.acknowledge(at)
    assert waiting(stand) == 0


def test_a_message_comes_with_all_that_it_has(stand: PubSubStand) -> None:
    stand.append([b"a\tb\nc\x1b\x00\xff"])
    with closing(stand.open()) as reader:
        rows = [row for polled in drained(reader)[0] for run in polled.runs for row in run.data.to_pylist()]
    assert [row["value"] for row in rows] == [b"a\tb\nc\x1b\x00\xff"]
    assert rows[0]["key"]
    assert [each["name"] for each in rows[0]["headers"]] == ["trace", "publish_time"]


def test_what_is_not_there_is_named(stand: PubSubStand) -> None:
    with pytest.raises(ConfigurationError, match="no subscription 'orderz' in the Pub/Sub of connection 'events'"):
        stand.opened(sources.pubsub("events", subscription="orderz", table="t"))
    with pytest.raises(TransientError, match="'events' cannot be reached"):
        stand.opened(stand.spec(), endpoint=f"127.0.0.1:{free_port()}")
    for url, given, said in (
        ("pubsub://", {}, "names no project of Pub/Sub"),
        ("pubsub://p", {"credentials_file": "/no/such/file"}, "no credentials of Google that can be read"),
    ):
        opening = Opening(source=stand.spec(), connection=connected(url, **given), positions={}, root=str(stand.folder))
        with pytest.raises(ConfigurationError, match=said):
            PubSubSource().open(opening)
    with pytest.raises(ConfigurationError, match="names no subscription"):
        sources.pubsub("events", subscription="", table="t")
