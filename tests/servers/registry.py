"""A schema registry for tests: real HTTP, numbers for schemas, and the answers of Confluent's interface."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from servers.scripted_http import Answer, Call, Scripted, scripted

USER, PASSWORD = "reader", "se:cr@t/1"
_ALLOWED = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@dataclass
class Registry:
    """What it knows.

    Attributes:
        schemas: By number; each as it is answered.
        subjects: Subject and version to number.
        away: Answers nothing but that it is not available.
        guarded: Wants a user and a password.
    """

    schemas: dict[int, dict[str, Any]] = field(default_factory=dict)
    subjects: dict[tuple[str, int], int] = field(default_factory=dict)
    away: bool = False
    guarded: bool = False
    server: Scripted | None = None

    @property
    def url(self) -> str:
        """Return its address."""
        assert self.server is not None
        return self.server.url

    @property
    def asked(self) -> list[str]:
        """Return the paths that were asked for."""
        assert self.server is not None
        return [call.path for call in self.server.calls]

    def add(self, number: int, text: str, type_: str = "AVRO", **more: Any) -> int:
        """Register a schema; ``references`` name others by subject and version. Returns the number."""
        kind = {} if type_ == "AVRO" else {"schemaType": type_}
        self.schemas[number] = {"schema": text, **kind, **more}
        return number

    def add_file(self, number: int, file: Any, **more: Any) -> int:
        """Register a descriptor of Protobuf; a real registry compiles it from its text."""
        self.schemas[number] = {"schema": file.SerializeToString(), "schemaType": "PROTOBUF", **more}
        return number

    def answer(self, call: Call) -> Any:
        """Answer a call."""
        if self.away:
            return Answer({"error_code": 50003, "message": "away"}, status=503)
        if self.guarded and call.headers.get("authorization") != _ALLOWED:
            return Answer({"error_code": 40101, "message": "Unauthorized"}, status=401)
        found: int | None = None
        if match := re.fullmatch(r"/schemas/ids/(\d+)", call.path):
            found = int(match[1])
        elif match := re.fullmatch(r"/subjects/([^/]+)/versions/(\d+)", call.path):
            found = self.subjects.get((match[1], int(match[2])))
        else:
            return Answer({"error_code": 404, "message": "HTTP 404 Not Found"}, status=404)
        if found not in self.schemas:
            return Answer({"error_code": 40403, "message": "Schema not found"}, status=404)
        schema = dict(self.schemas[found])
        if isinstance(schema["schema"], bytes):
            compiled = call.query.get("format") == "serialized"
            schema["schema"] = base64.b64encode(schema["schema"]).decode() if compiled else 'syntax = "proto3";'
        return schema


@contextmanager
def registry() -> Iterator[Registry]:
    """Run a registry for as long as the context lasts."""
    made = Registry()
    with scripted(made.answer) as server:
        made.server = server
        yield made


def wired(number: int, payload: bytes) -> bytes:
    """Return a message as producers with a registry write it."""
    return b"\x00" + number.to_bytes(4, "big") + payload
