"""MQTT as its reader sees it: what the broker keeps, sends again, retains, forgets, and refuses."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from brokers import connected
from mqtt_stand import MqttStand
from test_readers import drained, numbered, values

from penstock import sources
from penstock.errors import ConfigurationError, DataError, TransientError
from penstock.extract.streams.mqtt.client import Client
from penstock.extract.streams.mqtt.source import MqttSource
from penstock.extract.streams.port import Opening, Reader
from servers.debian import free_port
from servers.mosquitto import PASSWORD, USER, MosquittoServer


@pytest.fixture
def stand(mosquitto: MosquittoServer, tmp_path: Path) -> MqttStand:
    return MqttStand(mosquitto, tmp_path)


def read(reader: Reader) -> list[dict[str, Any]]:
    return [row for polled in drained(reader)[0] for run in polled.runs for row in run.data.to_pylist()]


def test_a_message_comes_with_all_that_it_has(stand: MqttStand) -> None:
    bodies = [b"x", b"", b"a\tb\nc\x1b\x1e\x1f\x00\xff"]
    stand.publish([(stand.name, body) for body in bodies])
    stand.publish([(stand.name, b"two")], qos=2)
    with closing(stand.open()) as reader:
        rows = read(reader)
    assert [(row["key"], row["value"]) for row in rows] == [(stand.name.encode(), body) for body in [*bodies, b"two"]]
    assert all(row["timestamp"] is not None for row in rows)


def test_equal_messages_count_each(stand: MqttStand) -> None:
    stand.append([b"21.5"] * 50)
    with closing(stand.open()) as reader:
        assert values(drained(reader)[0]) == [b"21.5"] * 50


def test_what_was_written_and_not_acknowledged_counts_once(stand: MqttStand, monkeypatch: pytest.MonkeyPatch) -> None:
    stand.append([*numbered(0, 10), b"same", b"same"])
    with monkeypatch.context() as patched:
        # As if it died between the disk and the acknowledgement.
        patched.setattr(Client, "acknowledge", lambda *_: None)
        with closing(stand.open()) as reader:
            _, at = drained(reader)
    stand.append(numbered(10, 3))
    with closing(stand.open(at)) as reader:
        assert values(drained(reader, at)[0]) == numbered(10, 3)
    with closing(stand.open()) as reader:
        assert values(drained(reader)[0]) == [*numbered(0, 10), b"same", b"same", *numbered(10, 3)]


def test_a_field_may_be_the_id(stand: MqttStand) -> None:
    stand.append([b'{"id": 7, "n": 1}', b'{"id": 7, "n": 2}', b'{"id": 8}'])
    with closing(stand.opened(stand.spec(id="id"))) as reader:
        assert values(drained(reader)[0]) == [b'{"id": 7, "n": 1}', b'{"id": 8}']


def test_what_is_retained_counts_once_whoever_connects_again_or_is_left_out(stand: MqttStand) -> None:
    topic = f"{stand.name}/kept"
    stand.publish([(topic, b"state")], retain=True)
    record = {"on_gap": "record"}
    counted, left = (
        sources.mqtt("events", topics=f"{stand.name}/#", table="clicks", retained=each, stream=record)
        for each in (True, False)
    )
    at: Any = {}
    found = list[bytes]()
    # The same session twice, and one that the broker does not know.
    for session in ("a", "a", "b"):
        with closing(stand.opened(counted, at, client_id=f"{stand.session}{session}")) as reader:
            polls, at = drained(reader, at)
            found += values(polls)
            reader.acknowledge(at)
    assert found == [b"state"]
    with closing(stand.opened(left, at, client_id=f"{stand.session}c", remember="0s")) as reader:
        stand.publish([(topic, b"news")])
        assert values(drained(reader, at)[0]) == [b"news"]


def test_a_session_that_the_broker_forgot_is_no_silent_loss(stand: MqttStand) -> None:
    stand.append(numbered(0, 5))
    with closing(stand.open()) as reader:
        _, at = drained(reader)
    _forget(stand)
    stand.append(numbered(5, 5))
    for _ in range(2):
        with (
            closing(stand.open(at)) as reader,
            pytest.raises(DataError, match=r"'clicks' cannot go on: .*forgotten the session.*on_gap='record'"),
        ):
            reader.poll(1000, 5)
    stand.append(numbered(10, 5))
    with closing(stand.open(at, on_gap="record")) as reader:
        polls, at = drained(reader, at)
        assert values(polls) == numbered(10, 5)
        assert [gap.reason for polled in polls for gap in polled.gaps] == [
            "the broker has forgotten the session, and what it held"
        ]
        reader.acknowledge(at)
    with closing(stand.open(at)) as reader:
        assert not values(drained(reader, at)[0])


def test_a_lost_folder_is_no_silent_loss(stand: MqttStand) -> None:
    stand.append(numbered(0, 5))
    with closing(stand.open()) as reader:
        _, at = drained(reader)
    for path in (stand.folder / "inbox/clicks").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"the folder clicks is gone"):
        stand.open(at)
    stand.append(numbered(5, 2))
    with closing(stand.open(at, on_gap="record")) as reader:
        polls, _ = drained(reader, at)
        assert values(polls) == numbered(5, 2)
        assert [len(polled.gaps) for polled in polls if polled.gaps] == [1]


def test_who_is_not_let_in_is_told_so_without_the_password(stand: MqttStand) -> None:
    for wrong in ({"password": "wr0ng-pa55"}, {"user": "nobody"}):
        with pytest.raises(ConfigurationError, match="'events' does not let us in: Not authorized") as refused:
            stand.opened(stand.spec(), **wrong)
        assert "wr0ng-pa55" not in str(refused.value)
        assert PASSWORD not in str(refused.value)


def test_what_is_not_there_is_named(mosquitto: MosquittoServer, tmp_path: Path) -> None:
    source = sources.mqtt("events", topics=["a/+", "b"], table="t")

    def opened(url: str, **given: Any) -> Reader:
        connection = connected(url, user=USER, password=PASSWORD, **given)
        return MqttSource().open(Opening(source=source, connection=connection, positions={}, root=str(tmp_path)))

    with pytest.raises(TransientError, match="'events' cannot be reached"):
        opened(f"mqtt://127.0.0.1:{free_port()}")
    with pytest.raises(ConfigurationError, match="is no address of an MQTT broker"):
        opened("mqtt://")
    with pytest.raises(ConfigurationError, match="certificates of connection 'events' cannot be read"):
        opened("mqtts://127.0.0.1:1", ssl_ca="/no/such/file")
    for wrong in ("", []):
        with pytest.raises(ConfigurationError, match="names no topic"):
            sources.mqtt("events", topics=wrong, table="t")


def _forget(stand: MqttStand) -> None:
    """Have the broker forget the session, by one of its name that is clean and is to last no longer than it."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, stand.session, protocol=paho.MQTTv5)
    client.username_pw_set(USER, PASSWORD)
    there: list[Any] = []
    client.on_connect = lambda *given: there.append(given)
    client.connect("127.0.0.1", stand.server.port, clean_start=True)
    while not there:
        client.loop(0.1)
    client.disconnect()
    client.loop(0.1)
