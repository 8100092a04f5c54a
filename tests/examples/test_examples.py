"""The worked examples do what their pages say: each is copied, fed by a real server, and run to its end."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from penstock import Project, connect
from penstock.model.receipts import RunReceipt, State
from servers.debian import free_port
from servers.kafka import KafkaServer
from servers.mosquitto import PASSWORD, USER, MosquittoServer
from servers.scripted_http import Call, scripted
from streams.stream_project import begun, said, served, until

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ("video", "sensors", "orders")


def copied(name: str, folder: Path) -> Path:
    shutil.copytree(EXAMPLES / name, folder / name, ignore=shutil.ignore_patterns("data", ".penstock", "inbox", "told"))
    return folder / name


def streamed(folder: Path) -> State:
    with Project(folder) as project:
        return ended(project.stream(folder.name, until_end=True))


def run(folder: Path) -> State:
    with Project(folder) as project:
        return ended(project.run(folder.name))


def ended(receipt: RunReceipt) -> State:
    assert not receipt.error, receipt.error
    return receipt.state


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_short_and_says_what_it_is(name: str) -> None:
    declared = [(EXAMPLES / name / file).read_text() for file in ("pipeline.py", "penstock.toml")]
    assert sum(text.count("\n") for text in declared) <= 100
    page = (EXAMPLES / name / "README.md").read_text()
    assert all(command in page for command in ("penstock stream", "penstock run"))


# A video app --------------------------------------------------------------------------------------------------------


def test_clicks_are_flagged_as_they_come_and_become_features(
    kafka: KafkaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied("video", tmp_path)
    kafka.create("clicks", 2)
    producer = kafka.producer()
    for number, line in enumerate((folder / "clicks/2026-11-22.jsonl").read_text().splitlines()):
        producer.produce("clicks", line.encode(), partition=number % 2)
    assert not producer.flush(30)
    monkeypatch.setenv("VIDEO_EVENTS", kafka.url)
    assert streamed(folder) is State.DONE
    watched(folder)


def test_without_a_broker_clicks_are_read_from_files(tmp_path: Path) -> None:
    folder = copied("video", tmp_path)
    assert streamed(folder) is State.DONE
    watched(folder)


def watched(folder: Path) -> None:
    """See what came of the five clicks, of which one is impossible."""
    with connect(str(folder)) as connection:
        flagged = connection.sql(
            "SELECT user, seconds, toxicity, flagged FROM clicks ORDER BY user, seconds"
        ).fetchall()
    assert flagged == [("ada", 60, 0, False), ("ada", 300, 0, False), ("bob", 15, 0, False), ("bob", 30, 1, True)]
    features = "SELECT user, clicks, seconds, videos, flagged_share FROM user_features ORDER BY user, clicked_at"
    expected = [("ada", 1, 60, 1, 0.0), ("ada", 2, 360, 2, 0.0), ("bob", 1, 30, 1, 1.0), ("bob", 2, 45, 1, 0.5)]
    assert served(folder, features) == expected, "the stream alone keeps them up"
    assert served(folder, "SELECT video, views FROM views_per_minute ORDER BY video") == [
        ("v1", 1),
        ("v2", 2),
        ("v3", 1),
    ]
    assert run(folder) is State.DONE
    assert served(folder, features) == expected
    with Project(folder) as project:
        assert [found.rows for found in project.quarantine.summaries("clicks")] == [1]
        (step,) = [step for step in project.lineage("user_features").steps if step.scored]
    assert step.scored.startswith("word-list 2026-11 (pipeline.moderate, code ")
    assert "free money" not in step.code, "texts beside a function may be secret: a digest stands for them"
    assert "pc.count_substring_regex" in step.code


# Sensors ------------------------------------------------------------------------------------------------------------


def test_readings_count_once_and_a_silent_sensor_is_told_of(
    mosquitto: MosquittoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied("sensors", tmp_path)
    for name, value in {"PLANT": mosquitto.url, "PLANT_USER": USER, "PLANT_PASSWORD": PASSWORD}.items():
        monkeypatch.setenv(name, value)
    plates = [(f"plant/{sensor}/plate", {"place": place}) for sensor, place in (("s1", "hall"), ("s2", "roof"))]
    published(mosquitto, plates, retain=True)
    # Both sessions begin here, and the plates that were retained come at once.
    assert streamed(folder) is State.DONE
    readings = [reading("s1", n, second) for n, second in enumerate(range(0, 100, 10))]
    readings += [reading("s2", n, second) for n, second in enumerate(range(0, 70, 10))]
    published(mosquitto, [*readings, *readings[:3]])
    assert streamed(folder) is State.DONE
    assert run(folder) is State.DONE
    assert served(folder, "SELECT count(*), count(DISTINCT reading) FROM raw_readings") == [(17, 17)]
    latest = served(folder, "SELECT sensor, place, celsius FROM latest ORDER BY sensor")
    assert latest == [("s1", "hall", 29.0), ("s2", "roof", 26.0)]
    assert open_alerts(folder) == []

    # s1 goes on, and s2 does not: 10 seconds were usual, and 60 pass.
    published(mosquitto, [reading("s1", n, n * 10) for n in range(10, 13)])
    streamed(folder)
    assert run(folder) is State.REJECTED
    assert open_alerts(folder) == ["rejected:silent"]
    assert "all sensors speak" in "".join(path.read_text() for path in (folder / "told").iterdir())

    published(mosquitto, [reading("s2", 7, 121)])
    streamed(folder)
    assert run(folder) is State.DONE
    assert open_alerts(folder) == []


def reading(sensor: str, number: int, second: int) -> tuple[str, dict[str, Any]]:
    at = f"2026-11-22T05:{second // 60:02}:{second % 60:02}Z"
    return f"plant/{sensor}/heat", {"reading": f"{sensor}-{number}", "measured_at": at, "celsius": 20.0 + number}


def published(server: MosquittoServer, messages: list[tuple[str, dict[str, Any]]], *, retain: bool = False) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.username_pw_set(USER, PASSWORD)
    client.connect("127.0.0.1", server.port)
    client.loop_start()
    try:
        for topic, document in messages:
            client.publish(topic, json.dumps(document), qos=1, retain=retain).wait_for_publish(30)
    finally:
        client.disconnect()
        client.loop_stop()


def open_alerts(folder: Path) -> list[str]:
    with Project(folder) as project:
        return [alert.id for alert in project.alerts.check().open]


# Orders -------------------------------------------------------------------------------------------------------------

SECRET = b"the website's own secret, of 32 B"


def bought(number: int, hour: int) -> dict[str, Any]:
    at = f"2026-11-22T{hour:02}:00:00Z"
    return {"order_number": number, "bought_at": at, "currency": "USD", "price": 100, "updated_at": at}


def test_orders_of_three_channels_stand_in_euros_in_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, port = copied("orders", tmp_path), free_port()
    monkeypatch.setenv("SHOP_SECRET", "whsec_" + base64.b64encode(SECRET).decode())
    monkeypatch.setenv("SHOP_LISTEN", f"127.0.0.1:{port}")
    there = [bought(11, 11)]

    def orders(call: Call) -> dict[str, Any]:
        since = call.query.get("updated_since", "")
        return {"orders": [order for order in there if order["updated_at"] >= since]}

    with scripted(orders) as api:
        monkeypatch.setenv("MARKETPLACE", api.url)
        serving = begun(folder, "serve")
        try:
            until(lambda: posted(port, 1, "GBP", 20) == 200 or serving.poll() is not None)
            assert serving.poll() is None, said(folder)
            # The website was not sure whether that had come.
            assert posted(port, 1, "GBP", 20) == 200
            assert posted(port, 2, "XAU", 1) == 200
        finally:
            serving.terminate()
            serving.wait(60)
        assert streamed(folder) is State.DONE
        assert run(folder) is State.DONE
        euros = "SELECT channel, id, rate::DOUBLE, euros::DOUBLE FROM orders ORDER BY channel, id"
        assert served(folder, euros) == [
            ("marketplace", "11", 0.9, 90.0),
            ("shop", "1", 1.15, 23.0),
            ("shop", "2", None, None),
            ("till", "a-1", 1.0, 12.5),
            ("till", "a-2", 1.0, 7.0),
        ]
        # Another order, after the rate changed; another till; and a rate that was missing.
        there.append(bought(12, 13))
        (folder / "tills/2026-11-22-b.csv").write_text("till,receipt,sold_at,amount\nb,1,2026-11-22T10:00:00Z,3.00\n")
        with (folder / "rates.csv").open("a") as rates:
            rates.write("XAU,2026-01-01T00:00:00Z,90.5\n")
        # A file that changed a moment ago would be left for the next look.
        os.utime(folder / "tills/2026-11-22-b.csv", (time.time() - 10,) * 2)
        streamed(folder)
        assert run(folder) is State.DONE
    assert served(folder, euros) == [
        ("marketplace", "11", 0.9, 90.0),
        ("marketplace", "12", 0.8, 80.0),
        ("shop", "1", 1.15, 23.0),
        ("shop", "2", 90.5, 90.5),
        ("till", "a-1", 1.0, 12.5),
        ("till", "a-2", 1.0, 7.0),
        ("till", "b-1", 1.0, 3.0),
    ]


def posted(port: int, number: int, currency: str, total: float) -> int:
    """Post an order as the website does, signed as Standard Webhooks are; 0: nobody answered."""
    placed = {"id": number, "placed_at": "2026-11-22T08:00:00Z", "currency": currency, "total": total}
    body, sent = json.dumps(placed).encode(), str(int(time.time()))
    signed = hmac.new(SECRET, f"order-{number}.{sent}.".encode() + body, hashlib.sha256).digest()
    headers = {
        "webhook-id": f"order-{number}",
        "webhook-timestamp": sent,
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }
    request = urllib.request.Request(f"http://127.0.0.1:{port}/hooks/orders", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.URLError:
        return 0
