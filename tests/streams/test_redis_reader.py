"""Streams of a real Redis, as its reader sees them: ids, fields, what was trimmed, who is let in."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import pyarrow as pa
import pytest
from brokers import RedisStand, connected
from hypothesis import given, settings
from hypothesis import strategies as st
from test_readers import drained, moved, numbered, values

from penstock import sources
from penstock.errors import ConfigurationError, DataError, TransientError
from penstock.extract.streams.json_decoding import JsonDecoder
from penstock.extract.streams.port import Opening, Reader
from penstock.extract.streams.redis_offsets import id_before, id_of, offset_of, offsets_of
from penstock.extract.streams.redis_streams import RedisSource
from penstock.model.specs import ConnectionSpec
from servers.debian import free_port
from servers.redis import PASSWORD, RedisServer

_IDS = st.tuples(st.integers(0, 2**42 - 1), st.integers(0, 2**21 - 2))


@pytest.fixture
def stand(redis: RedisServer) -> RedisStand:
    return RedisStand(redis)


def opened(stand: RedisStand, connection: ConnectionSpec, **given: Any) -> Reader:
    source = sources.redis_stream("events", **{"stream_name": stand.name, "table": "clicks", **given})
    return RedisSource().open(Opening(source=source, connection=connection, positions={}))


@settings(deadline=None)
@given(_IDS, _IDS)
def test_ids_and_offsets_are_the_same_in_another_spelling(one: tuple[int, int], other: tuple[int, int]) -> None:
    spelt = [b"%d-%d" % one, b"%d-%d" % other]
    offsets, milliseconds = offsets_of(spelt, "s")
    assert milliseconds.to_pylist() == [one[0], other[0]]
    first, second = offsets.to_pylist()
    assert [first, second] == [offset_of(each, "s") for each in spelt]
    assert (first < second) == (one < other)
    assert [id_of(first), id_of(second)] == [each.decode() for each in spelt]
    before = tuple(map(int, id_before(first).split("-")))
    assert before < one or one == (0, 0)


@pytest.mark.parametrize("id_", [b"4398046511104-0", b"5-2097151", b"1-18446744073709551615"])
def test_an_id_that_is_no_offset_is_refused(id_: bytes, stand: RedisStand) -> None:
    with pytest.raises(DataError, match=rf"stream 's' has an id that cannot be an offset. Got: {id_.decode()}"):
        offset_of(id_, "s")
    with pytest.raises(DataError, match="cannot be an offset"):
        offsets_of([b"1-1", id_], "s")
    stand.client.xadd(stand.name, {"data": "{}"}, id=id_)
    with pytest.raises(
        DataError, match=rf"stream '{stand.name}' has an id that cannot be an offset. Got: {id_.decode()}"
    ):
        stand.open()


def test_all_fields_are_an_object_of_texts(redis: RedisServer, stand: RedisStand) -> None:
    entries = [
        {"user": "ada", "text": 'a "quoted" \\ back\nslash\t\x01', "ü": "é🎬"},
        {"user": "bob", "text": "plain", "ü": ""},
        {"other": "1"},
        {"user": "eve", "text": "last", "ü": "\x7f"},
    ]
    for entry in entries:
        stand.client.xadd(stand.name, entry)
    stand.client.xadd(stand.name, {"user": b"\xff\xfe"})
    with closing(opened(stand, connected(redis.url))) as reader:
        polls, _ = drained(reader)
        assert set(reader.envelope) == {"_entry", "_offset", "_timestamp"}
    found = values(polls)
    assert [json.loads(value) for value in found[:4]] == entries
    decoded = JsonDecoder().decode(pa.array(found, pa.binary()))
    assert set(decoded.misfits) == {4}


def test_one_field_is_the_message_and_the_others_stand_beside_it(stand: RedisStand) -> None:
    first = stand.client.xadd(stand.name, {"a": b"\xff", "data": '{"n": 1}', "b": "x"}, id="1700000000123-4").decode()
    stand.client.xadd(stand.name, {"a": "only"})
    with closing(stand.open()) as reader:
        rows = [row for polled in drained(reader)[0] for run in polled.runs for row in run.data.to_pylist()]
    assert [row["value"] for row in rows] == [b'{"n": 1}', b""]
    assert rows[0]["key"] == first == "1700000000123-4"
    assert rows[0]["timestamp"].isoformat() == "2023-11-14T22:13:20.123000+00:00"
    assert rows[0]["headers"] == [{"name": "a", "value": b"\xff"}, {"name": "b", "value": b"x"}]
    assert rows[1]["headers"] == [{"name": "a", "value": b"only"}]


def test_trimming_is_a_gap_only_where_something_was_not_read(stand: RedisStand) -> None:
    stand.append(numbered(0, 20))
    with closing(stand.open()) as reader:
        _, at = drained(reader)
    stand.append(numbered(20, 10))
    # Exactly what was read: nothing is missing.
    stand.client.xtrim(stand.name, maxlen=10, approximate=False)
    with closing(stand.open(at)) as reader:
        assert values(drained(reader, at)[0]) == numbered(20, 10)
    stand.client.xtrim(stand.name, maxlen=7, approximate=False)
    with pytest.raises(DataError, match=r"trimmed: 3 from \d+-\d+ on"):
        stand.open(at)
    with closing(stand.open(at, on_gap="record")) as reader:
        polls, after = drained(reader, at)
        assert values(polls) == numbered(23, 7)
        assert len([gap for polled in polls for gap in polled.gaps]) == 1
    with closing(stand.open(after)) as reader:
        assert not reader.poll(1000, 0)


def test_entries_that_were_deleted_one_by_one_are_no_silent_jump(stand: RedisStand) -> None:
    stand.append(numbered(0, 10))
    ids = [id_ for id_, _ in stand.client.xrange(stand.name)]
    with closing(stand.open()) as reader:
        at = moved({}, reader.poll(30, 5))
        read = len(values([stand.open().poll(30, 5)]))
    stand.client.xdel(stand.name, ids[0])
    with closing(stand.open(at)) as reader:
        assert values(drained(reader, at)[0]) == numbered(read, 10 - read)
    stand.client.xdel(stand.name, ids[6])
    with pytest.raises(DataError, match="deleted one by one"):
        stand.open(at)
    with closing(stand.open(at, on_gap="record")) as reader:
        polls, at = drained(reader, at, most=30)
        assert values(polls) == [*numbered(read, 6 - read), *numbered(7, 3)]
        assert len([gap for polled in polls for gap in polled.gaps]) == 1
    stand.append(numbered(10, 2))
    with closing(stand.open(at)) as reader:
        assert values(drained(reader, at)[0]) == numbered(10, 2)


def test_a_stream_that_was_made_anew_is_a_gap(stand: RedisStand) -> None:
    stand.append(numbered(0, 10))
    with closing(stand.open()) as reader:
        _, at = drained(reader)
        stand.client.delete(stand.name)
        with pytest.raises(DataError, match="the stream was deleted"):
            reader.poll(1000, 0)
    with pytest.raises(ConfigurationError, match=f"There is no stream '{stand.name}'"):
        stand.open(at)
    with closing(stand.open(at, on_gap="record")) as reader:
        assert not reader.poll(1000, 0)
        stand.append(numbered(50, 3))
        with pytest.raises(DataError, match="made anew"):
            stand.open(at)
        polls, _ = drained(reader, at)
        assert values(polls) == numbered(50, 3)
        assert [gap.reason for polled in polls for gap in polled.gaps] == ["the stream was made anew"]


def test_an_older_state_that_came_back_doubles_nothing(stand: RedisStand) -> None:
    for n in range(10):
        stand.client.xadd(stand.name, {"data": numbered(n, 1)[0]}, id=f"{n + 1}-0")
    with closing(stand.open()) as reader:
        _, at = drained(reader)
    stand.client.delete(stand.name)
    for n in range(7):
        stand.client.xadd(stand.name, {"data": numbered(n, 1)[0]}, id=f"{n + 1}-0")
    with pytest.raises(DataError, match="it ends at 7-1"):
        stand.open(at)
    with closing(stand.open(at, on_gap="record")) as reader:
        polls, at = drained(reader, at)
        assert [gap.found for polled in polls for gap in polled.gaps] == [offset_of(b"7-1", "s")]
        stand.client.xadd(stand.name, {"data": b'{"n": 70}'}, id="8-0")
        assert values([*polls, *drained(reader, at)[0]]) == [b'{"n": 70}']


def test_the_group_and_the_count_show_what_is_behind(stand: RedisStand) -> None:
    stand.append(numbered(0, 10))
    with closing(stand.open()) as reader:
        at = moved({}, reader.poll(30, 5))
        left = 10 - len(values([stand.open().poll(30, 5)]))
        assert reader.behind(at) == left > 0
        reader.acknowledge(at)
        shown = {group["name"]: group for group in stand.client.xinfo_groups(stand.name)}
        assert shown[b"shown"]["lag"] == left
        _, at = drained(reader, at)
        reader.acknowledge(at)
        assert reader.behind(at) == 0
        assert {group["name"]: group["lag"] for group in stand.client.xinfo_groups(stand.name)}[b"shown"] == 0


def test_who_is_not_let_in_is_told_so_without_the_password(redis: RedisServer, stand: RedisStand) -> None:
    url = f"redis://127.0.0.1:{redis.port}"
    for wrong in ({"password": "wr0ng-pa55"}, {}, {"user": "nobody", "password": "wr0ng-pa55"}):
        with pytest.raises(ConfigurationError, match="'events' does not let us in") as refused:
            opened(stand, connected(url, **wrong))
        assert "wr0ng-pa55" not in str(refused.value)
    stand.client.acl_setuser(
        "reader", enabled=True, passwords=[f"+{PASSWORD}"], commands=["+xinfo", "+multi", "+exec"], keys=["*"]
    )
    with pytest.raises(ConfigurationError, match=r"is refused by the Redis of connection 'events'.*xrange"):
        opened(stand, connected(url, user="reader", password=PASSWORD)).poll(1, 0)
    stand.client.acl_deluser("reader")


def test_what_is_not_there_is_named(redis: RedisServer, stand: RedisStand) -> None:
    with pytest.raises(ConfigurationError, match="There is no stream 'orderz' in the Redis of connection 'events'"):
        opened(stand, connected(redis.url), stream_name="orderz")
    stand.client.set("a-text", "x")
    with pytest.raises(ConfigurationError, match=r"WRONGTYPE.*Is the key a stream"):
        opened(stand, connected(redis.url), stream_name="a-text")
    with pytest.raises(TransientError, match="'events' cannot be reached"):
        opened(stand, connected(f"redis://127.0.0.1:{free_port()}"))
    with pytest.raises(ConfigurationError, match="is no address of a Redis"):
        opened(stand, connected("redis://127.0.0.1/seven"))
    with pytest.raises(ConfigurationError, match="names no stream of Redis"):
        opened(stand, connected(redis.url), stream_name="")
    with pytest.raises(ConfigurationError, match="all fields of an entry are an object"):
        opened(stand, connected(redis.url), format="text")
