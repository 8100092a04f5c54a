"""Topics whose messages name their schemas in a registry, the whole way to lake, warehouse and quarantine."""

from __future__ import annotations

import io
import json
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import fastavro
import pytest
from stream_project import SETTINGS, begun, drained, in_lake, in_warehouse, landed, made, said, served, until

from penstock.errors import NotFoundError
from penstock.model.receipts import State
from penstock.project import Project
from servers.kafka import KafkaServer
from servers.registry import PASSWORD, USER, Registry, registry, wired

_NUMBER = count()
PIPELINE = """
from penstock import Pipeline, sources
clicks = Pipeline(
    name="clicks",
    sources=[
        sources.kafka(
            "events", topics="TOPIC", table="clicks", format="FORMAT",
            stream={"every": "200ms", "registry": "schemas"}, MORE
        )
    ],
)
"""
MOMENT = datetime(2026, 11, 22, 5, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def topic(kafka: KafkaServer) -> str:
    return kafka.create(f"registered-{next(_NUMBER)}", 3)


@pytest.fixture
def schemas() -> Iterator[Registry]:
    with registry() as running:
        yield running


def project(folder: Path, kafka: KafkaServer, topic: str, url: str, format_: str = "avro", **more: str) -> Path:
    given = {"user": "", "more": ""} | more
    settings = f'{SETTINGS}[connections.events]\nurl = "{kafka.url}"\n[connections.schemas]\nurl = "{url}"\n'
    pipeline = PIPELINE.replace("TOPIC", topic).replace("FORMAT", format_).replace("MORE", given["more"])
    return made(folder, pipeline, settings + given["user"])


@pytest.fixture
def folder(tmp_path: Path, kafka: KafkaServer, topic: str, schemas: Registry) -> Path:
    return project(tmp_path, kafka, topic, schemas.url)


def record(*fields: tuple[str, Any]) -> dict[str, Any]:
    return {"type": "record", "name": "Click", "fields": [{"name": name, "type": type_} for name, type_ in fields]}


def avro(number: int, schema: dict[str, Any], **row: Any) -> bytes:
    file = io.BytesIO()
    fastavro.schemaless_writer(file, fastavro.parse_schema(json.loads(json.dumps(schema))), row)
    return wired(number, file.getvalue())


def produce(kafka: KafkaServer, topic: str, values: Sequence[bytes | None], **message: Any) -> None:
    producer = kafka.producer()
    for number, value in enumerate(values):
        producer.produce(topic, value, **{"partition": number % 3, **message})
    assert not producer.flush(30)


FIRST = record(("n", "int"), ("user", ["null", "string"]))
SECOND = record(
    ("n", "long"), ("user", ["null", "string"]), ("at", {"type": "long", "logicalType": "timestamp-micros"})
)
OTHER = record(("n", "string"))


def test_each_type_arrives_as_it_is_and_each_message_once(
    kafka: KafkaServer, topic: str, folder: Path, schemas: Registry
) -> None:
    inner = {"type": "record", "name": "Inner", "fields": [{"name": "x", "type": "double"}]}
    schema = record(
        ("n", "long"),
        ("price", {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}),
        ("at", {"type": "long", "logicalType": "timestamp-micros"}),
        ("there", {"type": "long", "logicalType": "local-timestamp-micros"}),
        ("day", {"type": "int", "logicalType": "date"}),
        ("id", {"type": "string", "logicalType": "uuid"}),
        ("kind", {"type": "enum", "name": "Kind", "symbols": ["VIEW", "BUY"]}),
        ("tags", {"type": "map", "values": "string"}),
        ("steps", {"type": "array", "items": inner}),
        ("either", ["null", "long", "string"]),
    )
    schemas.add(7, json.dumps(schema))
    row = {
        "price": Decimal("12.30"),
        "at": MOMENT,
        "there": MOMENT.replace(tzinfo=None),
        "day": date(2026, 11, 22),
        "id": uuid.UUID(int=9),
        "kind": "BUY",
        "tags": {"a": "b"},
        "steps": [{"x": 1.5}],
        "either": "x",
    }
    produce(kafka, topic, [avro(7, schema, n=n, **row) for n in range(300)], key=b"k")
    assert drained(folder).state is State.DONE
    assert drained(folder).state is State.UNCHANGED
    assert in_lake(folder) == in_warehouse(folder) == Counter(range(300))
    types = dict(served(folder, "SELECT column_name, column_type FROM (DESCRIBE raw_clicks)"))
    assert [types[name] for name in ("n", "price", "at", "there", "day", "id", "kind")] == [
        "BIGINT", "DECIMAL(10,2)", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP", "DATE", "UUID", "VARCHAR",
    ]  # fmt: skip
    query = 'SELECT DISTINCT price, "at", there, day, id, kind, tags.a, _key FROM raw_clicks'
    expected = (*(row[name] for name in ("price", "at", "there", "day", "id", "kind")), "b", "k")
    assert served(folder, query) == [expected]
    assert schemas.asked == ["/schemas/ids/7"]


def test_schemas_change_in_the_middle_of_a_batch(
    kafka: KafkaServer, topic: str, folder: Path, schemas: Registry
) -> None:
    schemas.add(1, json.dumps(FIRST))
    schemas.add(2, json.dumps(SECOND))
    large = 2**40
    values = [
        avro(1, FIRST, n=n, user="ada") if n % 4 else avro(2, SECOND, n=large + n, user=None, at=MOMENT)
        for n in range(400)
    ]
    produce(kafka, topic, values)
    drained(folder)
    expected = Counter(n if n % 4 else large + n for n in range(400))
    assert in_lake(folder) == in_warehouse(folder) == expected
    query = 'SELECT count(*) FILTER ("at" IS NULL), count(*) FILTER ("user" IS NULL) FROM raw_clicks'
    assert served(folder, query) == [(300, 100)]


def test_what_is_no_row_is_kept_with_its_schema_and_comes_back_once_it_is_one(
    kafka: KafkaServer, topic: str, folder: Path, schemas: Registry
) -> None:
    schemas.add(1, json.dumps(FIRST))
    schemas.add(3, json.dumps(OTHER))
    good = [avro(1, FIRST, n=n, user="ada") for n in range(30)]
    produce(kafka, topic, good, partition=0)
    late = avro(2, SECOND, n=30, user=None, at=MOMENT)
    produce(kafka, topic, [late], partition=0, key=b"k\x00", headers=[("h", b"\xfe")], timestamp=1_700_000_000_123)
    bad = [avro(3, OTHER, n="x"), good[0][:-2], good[0] + b"\x00", b'{"n": 1}', b"\x00\x01"]
    produce(kafka, topic, bad, partition=1)
    produce(kafka, topic, [None], partition=2, key=b"gone")
    drained(folder)
    assert in_warehouse(folder) == Counter([*range(30), None])
    with Project(folder) as opened:
        opened.quarantine.export("clicks", str(folder / "lines.jsonl"), lines=True)
        with pytest.raises(NotFoundError, match="None of the 6 messages that raw_clicks set aside is a row yet"):
            opened.quarantine.replay("clicks", lines=True)
    lines = [json.loads(line) for line in (folder / "lines.jsonl").read_text().splitlines()]
    details = [json.loads(line["_origin_detail"]) for line in lines]
    told = [(line["_reasons"][0], each.get("schema")) for line, each in zip(lines, details, strict=True)]
    assert told == [
        ("unknown_schema", 2), ("incompatible_schema", 3), ("undecodable", 1), ("undecodable", 1),
        ("no_schema_id", None), ("no_schema_id", None),
    ]  # fmt: skip
    assert {(each["topic"], each["partition"], each["offset"]) for each in details} == {
        (topic, "0", 30), *((topic, "1", offset) for offset in range(5)),
    }  # fmt: skip
    assert details[0]["headers"] == [["h", {"base64": "/g=="}]]

    schemas.add(2, json.dumps(SECOND))
    with Project(folder) as opened:
        assert opened.quarantine.preview("clicks", lines=True).rows == 1
        assert opened.quarantine.replay("clicks", lines=True).state is State.DONE
        with pytest.raises(NotFoundError, match="None of the 5 messages"):
            opened.quarantine.replay("clicks", lines=True)
    assert in_lake(folder) == in_warehouse(folder) == Counter([*range(31), None])
    query = (
        'SELECT _topic, _partition, _offset, epoch_ms(_timestamp), _key, _headers, "at" FROM raw_clicks WHERE n = 30'
    )
    assert served(folder, query) == [
        (topic, 0, 30, 1_700_000_000_123, "k\x00", [{"name": "h", "value": b"\xfe"}], MOMENT)
    ]
    produce(kafka, topic, [avro(2, SECOND, n=31, user=None, at=MOMENT)])
    drained(folder)
    assert in_lake(folder) == in_warehouse(folder) == Counter([*range(32), None])


def test_what_comes_back_overwrites_nothing_newer(
    kafka: KafkaServer, topic: str, tmp_path: Path, schemas: Registry
) -> None:
    folder = project(tmp_path, kafka, topic, schemas.url, more='write="merge", key="_key"')
    schemas.add(1, json.dumps(FIRST))
    values = {
        b"a": [avro(1, FIRST, n=1, user=None), avro(2, FIRST, n=2, user=None), avro(1, FIRST, n=3, user=None)],
        b"b": [avro(1, FIRST, n=1, user=None), avro(2, FIRST, n=2, user=None)],
        b"c": [avro(2, FIRST, n=1, user=None), avro(1, FIRST, n=2, user=None)],
    }
    for key, each in values.items():
        produce(kafka, topic, each, partition=0, key=key)
    drained(folder)
    query = "SELECT _key, n FROM raw_clicks ORDER BY _key"
    assert served(folder, query) == [("a", 3), ("b", 1), ("c", 2)]
    schemas.add(2, json.dumps(FIRST))
    with Project(folder) as opened:
        assert opened.quarantine.replay("clicks", lines=True).state is State.DONE
        assert served(folder, query) == [("a", 3), ("b", 2), ("c", 2)]
        opened.rebuild()
    assert served(folder, query) == [("a", 3), ("b", 2), ("c", 2)]


def test_a_registry_that_is_away_is_waited_for_and_nothing_is_set_aside(
    kafka: KafkaServer, topic: str, folder: Path, schemas: Registry
) -> None:
    schemas.add(1, json.dumps(FIRST))
    schemas.away = True
    produce(kafka, topic, [avro(1, FIRST, n=n, user=None) for n in range(60)])
    process = begun(folder, "stream")
    try:
        until(lambda: len(schemas.asked) >= 3)
        assert not (folder / "data/staging/lake/raw_clicks").exists()
        schemas.away = False
        until(lambda: landed(folder) == 60)
    finally:
        process.terminate()
        assert process.wait(60) == 0, said(folder)
    with Project(folder) as opened:
        assert opened.quarantine.summaries("clicks") == ()
    assert in_warehouse(folder) == Counter(range(60))


def test_a_user_and_a_password_and_what_is_no_registry(
    kafka: KafkaServer, topic: str, tmp_path: Path, schemas: Registry
) -> None:
    schemas.add(1, json.dumps(FIRST))
    schemas.guarded = True
    produce(kafka, topic, [avro(1, FIRST, n=1, user=None)])
    refused = drained(project(tmp_path / "refused", kafka, topic, schemas.url))
    assert refused.state is State.FAILED
    assert "refuses the credentials of connection 'schemas'" in refused.error
    lost = drained(project(tmp_path / "lost", kafka, topic, f"{schemas.url}/nowhere"))
    assert lost.state is State.FAILED
    given = f'user = "{USER}"\npassword = "{PASSWORD}"\n'
    folder = project(tmp_path / "let-in", kafka, topic, schemas.url, user=given)
    assert drained(folder).state is State.DONE
    assert in_warehouse(folder) == Counter([1])


def test_messages_of_a_json_schema_have_its_types(
    kafka: KafkaServer, topic: str, tmp_path: Path, schemas: Registry
) -> None:
    folder = project(tmp_path, kafka, topic, schemas.url, "json_schema")
    money = {"type": "object", "properties": {"sum": {"type": "number"}, "currency": {"type": "string"}}}
    schema = {
        "type": "object",
        "properties": {
            "n": {"type": "integer"},
            "share": {"oneOf": [{"type": "null"}, {"type": "number"}]},
            "paid": {"$ref": "#/definitions/money"},
            "never": {"type": ["string", "null"]},
        },
        "definitions": {"money": money},
    }
    schemas.add(4, json.dumps(schema), "JSON")
    rows = [{"n": n, "share": 1, "paid": {"sum": 2, "currency": "EUR"}} for n in range(30)]
    produce(kafka, topic, [*(wired(4, json.dumps(row).encode()) for row in rows), b'{"n": 30}', wired(4, b"{oops")])
    drained(folder)
    assert in_warehouse(folder) == Counter(range(30))
    assert set(served(folder, "SELECT typeof(n), typeof(share), typeof(paid.sum) FROM raw_clicks")) == {
        ("BIGINT", "DOUBLE", "DOUBLE")
    }
    with Project(folder) as opened:
        assert [dict(found.reasons) for found in opened.quarantine.summaries("clicks")] == [
            {"no_json": 1, "no_schema_id": 1}
        ]
