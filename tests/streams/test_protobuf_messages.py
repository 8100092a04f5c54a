"""Protobuf messages by the schemas of a real registry: types, message types, references, bytes that are none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

from penstock.config.connections import connection_from_url
from penstock.extract.streams.registered import registered
from penstock.extract.streams.wire import WireDecoder
from servers.registry import Registry, registry, wired

FIELD = descriptor_pb2.FieldDescriptorProto
KINDS = {"int64": FIELD.TYPE_INT64, "string": FIELD.TYPE_STRING, "double": FIELD.TYPE_DOUBLE, "bytes": FIELD.TYPE_BYTES}


@pytest.fixture
def schemas() -> Iterator[Registry]:
    with registry() as running:
        yield running


@pytest.fixture
def decoder(schemas: Registry) -> Iterator[WireDecoder]:
    made = registered("protobuf", (), connection_from_url("schemas", schemas.url))
    yield made
    made.close()


def field(message: Any, name: str, kind: str, *, many: bool = False, optional: bool = False, oneof: int = -1) -> None:
    label = FIELD.LABEL_REPEATED if many else FIELD.LABEL_OPTIONAL
    made = message.field.add(name=name, number=len(message.field) + 1, label=label)
    if kind in KINDS:
        made.type = KINDS[kind]
    else:
        made.type = FIELD.TYPE_ENUM if kind.endswith("Color") else FIELD.TYPE_MESSAGE
        made.type_name = kind
    if optional:
        made.proto3_optional = True
        oneof = len(message.oneof_decl)
        message.oneof_decl.add(name=f"_{name}")
    if oneof >= 0:
        made.oneof_index = oneof


def shop() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="shop.proto", package="shop", syntax="proto3")
    file.dependency.extend(["google/protobuf/timestamp.proto", "money.proto"])
    color = file.enum_type.add(name="Color")
    color.value.add(name="RED", number=0)
    color.value.add(name="BLUE", number=1)
    order = file.message_type.add(name="Order")
    order.oneof_decl.add(name="either")
    field(order, "n", "int64")
    field(order, "note", "string", optional=True)
    field(order, "color", ".shop.Color")
    field(order, "at", ".google.protobuf.Timestamp")
    field(order, "tags", "string", many=True)
    field(order, "paid", ".bank.Money")
    field(order, "card", "string", oneof=0)
    field(order, "cash", "double", oneof=0)
    line = order.nested_type.add(name="Line")
    field(line, "article", "string")
    field(order, "lines", ".shop.Order.Line", many=True)
    refund = file.message_type.add(name="Refund")
    field(refund, "n", "int64")
    return file


def money() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="money.proto", package="bank", syntax="proto3")
    message = file.message_type.add(name="Money")
    field(message, "sum", "double")
    return file


def types() -> dict[str, Any]:
    pool = descriptor_pool.DescriptorPool()
    for file in (timestamp_pb2.DESCRIPTOR.serialized_pb, money().SerializeToString(), shop().SerializeToString()):
        pool.AddSerializedFile(file)
    names = ("shop.Order", "shop.Refund", "shop.Order.Line")
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in names}


def known(schemas: Registry) -> None:
    schemas.add_file(1, money())
    schemas.subjects["money-value", 3] = 1
    schemas.add_file(2, shop(), references=[{"name": "money.proto", "subject": "money-value", "version": 3}])


def decoded(decoder: WireDecoder, *values: bytes) -> Any:
    messages = pa.array(values, pa.binary())
    decoder.prepare(messages)
    return decoder.decode(messages)


def test_fields_arrive_as_they_are(schemas: Registry, decoder: WireDecoder) -> None:
    known(schemas)
    made = types()["shop.Order"]
    whole = made(
        n=5, note="", color=1, tags=["a", "b"], paid={"sum": 1.5}, cash=0, lines=[{"article": "x"}, {"article": "y"}]
    )
    moment = datetime(2026, 11, 22, 5, 0, 0, 123456, tzinfo=UTC)
    whole.at.FromDatetime(moment)
    found = decoded(decoder, wired(2, b"\x00" + whole.SerializeToString()), wired(2, b"\x00"))
    assert found.pieces[0].rows.to_pylist() == [
        {
            "n": 5, "note": "", "color": "BLUE", "at": moment, "tags": ["a", "b"], "paid": {"sum": 1.5}, "card": None,
            "cash": 0.0, "lines": [{"article": "x"}, {"article": "y"}],
        },
        {
            "n": 0, "note": None, "color": "RED", "at": None, "tags": [], "paid": None, "card": None, "cash": None,
            "lines": [],
        },
    ]  # fmt: skip
    assert schemas.asked == ["/schemas/ids/2", "/subjects/money-value/versions/3"]
    decoded(decoder, wired(2, b"\x00"))
    assert len(schemas.asked) == 2, "schemas are kept"


def test_the_list_of_indexes_says_which_message_it_is(schemas: Registry, decoder: WireDecoder) -> None:
    known(schemas)
    made = types()
    order = made["shop.Order"](n=1).SerializeToString()
    found = decoded(
        decoder,
        wired(2, b"\x00" + order),
        wired(2, b"\x02\x02" + made["shop.Refund"](n=2).SerializeToString()),
        wired(2, b"\x02\x00" + order),
        wired(2, b"\x04\x00\x00" + made["shop.Order.Line"](article="x").SerializeToString()),
        wired(2, b"\x02\x08" + order),
        wired(2, b""),
        wired(2, b"\x03" + order),
    )
    rows = dict(zip(found.pieces[0].places.to_pylist(), found.pieces[0].rows.to_pylist(), strict=True))
    assert {place: row["n"] for place, row in rows.items()} == {0: 1, 1: 2, 2: 1, 3: None}
    assert rows[3]["article"] == "x"
    assert found.misfits == dict.fromkeys((4, 5, 6), "undecodable")


def test_bytes_that_are_no_message_harm_none_of_the_others(schemas: Registry, decoder: WireDecoder) -> None:
    known(schemas)
    good = b"\x00" + types()["shop.Order"](n=1, note="x").SerializeToString()
    found = decoded(decoder, *(wired(2, good[:-1] if n % 5 == 3 else good) for n in range(20)))
    assert found.misfits == dict.fromkeys((3, 8, 13, 18), "undecodable")
    assert found.details[3]["schema"] == 2
    assert found.pieces[0].rows.column("n").to_pylist() == [1] * 16


def test_a_registry_without_compiled_schemas_and_one_of_another_format(schemas: Registry, decoder: WireDecoder) -> None:
    schemas.add(5, 'syntax = "proto3"; message A {}', "PROTOBUF")
    schemas.add(6, '"string"')
    found = decoded(decoder, wired(5, b"\x00"), wired(6, b"\x00"))
    assert found.misfits == {0: "other_format", 1: "other_format"}
    assert "format=serialized" in found.details[0]["error"]
    assert found.details[1] == {"schema": 6, "error": "AVRO"}


def test_a_type_within_itself_is_its_bytes(schemas: Registry, decoder: WireDecoder) -> None:
    file = descriptor_pb2.FileDescriptorProto(name="tree.proto", syntax="proto3")
    message = file.message_type.add(name="Tree")
    field(message, "n", "int64")
    field(message, "next", ".Tree")
    schemas.add_file(9, file)
    found = decoded(decoder, wired(9, b"\x00\x08\x01\x12\x02\x08\x02"))
    assert found.pieces[0].rows.to_pylist() == [{"n": 1, "next": b"\x08\x02"}]
