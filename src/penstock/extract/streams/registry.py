"""A schema registry: the schemas by whose numbers messages begin, each fetched once.

It speaks Confluent's interface, which other registries offer as well. A schema never changes under its number, so
what was fetched is kept; a number that the registry does not know is asked for again the next time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from penstock.errors import ConfigurationError
from penstock.extract.http.client import HttpClient
from penstock.extract.http.credentials import credentials_of
from penstock.extract.http.settings import settings_from
from penstock.model.specs import ConnectionSpec
from penstock.values import dataclass

_ABSENT = (40401, 40402, 40403)
"""What the registry says of a subject, version or schema that it does not know."""
_ATTEMPTS = 2
"""Tries of one call: the stream itself waits for a registry that is away."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A schema.

    Attributes:
        id: Its number.
        type: ``AVRO``, ``PROTOBUF`` or ``JSON``.
        text: How it is written; of Protobuf the file's descriptor, in base64.
        references: Name to the schemas that it needs, those that need no other first.
    """

    id: int
    type: str
    text: str
    references: Mapping[str, str]


class Registry:
    """Asks one registry; used by one thread.

    Args:
        connection: Its address, with ``user`` and ``password`` or a ``token``, and ``ssl_ca``.
    """

    def __init__(self, connection: ConnectionSpec) -> None:
        settings = settings_from(connection.options, where=f"connection {connection.name!r}")
        self._name = connection.name
        self._url = connection.url.rstrip("/")
        self._client = HttpClient(
            connection.name, connection.url, credentials_of(connection), replace(settings, attempts=_ATTEMPTS)
        )
        self._known: dict[int, Registered] = {}

    def schema(self, number: int) -> Registered | None:
        """Return a schema; None: the registry does not know it.

        Raises:
            TransientError: The registry cannot be reached.
            ConfigurationError: It refuses the credentials, or is no registry.
        """
        if number not in self._known:
            # Of Protobuf the compiled form; others are given as they are whatever is asked for.
            found = self._asked(f"/schemas/ids/{number}?format=serialized")
            if found is None:
                return None
            references: dict[str, str] = {}
            self._gather(found, references)
            type_ = str(found.get("schemaType", "AVRO"))
            self._known[number] = Registered(number, type_, str(found["schema"]), references)
        return self._known[number]

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _gather(self, found: Mapping[str, Any], references: dict[str, str]) -> None:
        for each in found.get("references") or ():
            if each["name"] in references:
                continue
            subject, version = quote(each["subject"], safe=""), int(each["version"])
            needed = self._asked(f"/subjects/{subject}/versions/{version}?format=serialized")
            if needed is None:
                raise ConfigurationError(
                    f"The registry of connection {self._name!r} lacks a schema that another one refers to",
                    value=f"subject {each['subject']!r}, version {version}",
                    remedy="Register it again",
                )
            self._gather(needed, references)
            references[each["name"]] = str(needed["schema"])

    def _asked(self, path: str) -> Mapping[str, Any] | None:
        reply = self._client.get(f"{self._url}{path}", absent=True)
        found = reply.json()
        if reply.status == 404 and isinstance(found, dict) and found.get("error_code") in _ABSENT:
            return None
        if reply.status == 404 or not isinstance(found, dict) or not isinstance(found.get("schema"), str):
            raise ConfigurationError(
                f"Connection {self._name!r} leads to no schema registry",
                value=reply.url,
                remedy="Give the address below which /schemas/ids/1 is answered",
            )
        return found
