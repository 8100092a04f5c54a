"""Server-Sent Events: what comes is written to the disk; a connection begins again behind the last event that was."""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import httpx

from penstock.errors import ConfigurationError, PenstockError, TransientError
from penstock.extract.streams import tls
from penstock.extract.streams.intake import records
from penstock.extract.streams.intake.feed import MOST, Quiet, Received, enveloped, id_of
from penstock.extract.streams.intake.reader import IntakeReader
from penstock.extract.streams.port import Opening, Reader
from penstock.extract.streams.web_feeds.events import Event, Events
from penstock.extract.streams.web_feeds.settings import headers_of, refused, silence_of
from penstock.extract.streams.webhooks.settings import folder_of
from penstock.model.specs import ConnectionSpec

_LONGEST = 64 * 2**20
"""Bytes of one event, at most."""
_PATIENCE = 15.0


class SseSource:
    """Reads the events of a URL; ``options``: ``id`` (a field of the events), ``folder``."""

    def open(self, opening: Opening) -> Reader:
        """Begin to read."""
        return IntakeReader(opening, _Feed(opening))


class _Feed:
    """Events as a feed."""

    keeps = False
    lost = ""
    envelope = enveloped("_event_id")

    def __init__(self, opening: Opening) -> None:
        self.topic = opening.source.table
        self._connection = opening.endpoint
        self._id: str | None = opening.source.options.get("id")
        self._folder = folder_of(opening.root, opening.source)
        self._latest = opening.source.options.get("last_event_id")
        self._listening: _Listening | None = None
        self._quiet = Quiet()

    def connect(self) -> None:
        """Begin to receive, behind the last event on the disk."""
        self.close()
        written = records.last_key(self._folder)
        last = written.decode() if written is not None else str(self._latest or "")
        self._listening = _Listening(self._connection, last)
        self._quiet.heard()

    def receive(self, wait: float) -> Sequence[Received]:
        """Return events that came."""
        assert self._listening is not None
        found = self._listening.taken(wait)
        if found:
            self._quiet.heard()
        return [self._received(event) for event in found]

    def settle(self, ticket: Any) -> None:
        """Tell nobody: the next connection says which event was the last."""

    def empty(self) -> bool:
        """Say whether nothing has come for a while."""
        return bool(self._quiet)

    def close(self) -> None:
        """Leave."""
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.close()

    def _received(self, event: Event) -> Received:
        return Received(
            id=id_of(event.data, self._id),
            key=event.id.encode() or None,
            value=event.data,
            headers=[("event", event.type.encode())],
        )


class _Listening:
    """One response, read by a thread of its own that waits where nobody takes what it has read."""

    def __init__(self, connection: ConnectionSpec, last: str) -> None:
        self._name = connection.name
        self._last = last
        self._events = Events(last)
        self._repeated = bool(last)
        self._found: deque[Event] = deque()
        self._size = 0
        self._problem: PenstockError | None = None
        self._closed = False
        self._changed = threading.Condition()
        verify = tls.context(connection) if "ssl_ca" in connection.options else True
        timeout = httpx.Timeout(_PATIENCE, read=silence_of(connection))
        self._client = httpx.Client(timeout=timeout, verify=verify, follow_redirects=True)
        self._response = self._begun(connection)
        self._thread = threading.Thread(target=self._run, name=f"events {self._name}", daemon=True)
        self._thread.start()

    def taken(self, wait: float) -> list[Event]:
        """Return events; raise what ended the response once there is none."""
        with self._changed:
            self._changed.wait_for(lambda: self._found or self._problem, wait)
            found = list(self._found)
            self._found.clear()
            self._size = 0
            self._changed.notify_all()
        if not found and self._problem is not None:
            raise self._problem
        return found

    def close(self) -> None:
        """End the response, also one that waits for its next byte."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        stream = self._response.extensions.get("network_stream")
        plain = stream.get_extra_info("socket") if stream is not None else None
        with suppress(OSError):
            if plain is not None:
                plain.shutdown(socket.SHUT_RDWR)
        self._thread.join(_PATIENCE)
        self._client.close()

    def _begun(self, connection: ConnectionSpec) -> httpx.Response:
        headers = headers_of(connection) | {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._last:
            headers["Last-Event-ID"] = self._last
        try:
            request = self._client.build_request("GET", connection.url, headers=headers)
            response = self._client.send(request, stream=True)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            self._client.close()
            raise ConfigurationError(f"The url of connection {self._name!r} is none of events") from None
        except httpx.HTTPError as error:
            self._client.close()
            raise self._away(error) from None
        told = response.headers.get("content-type", "none").partition(";")[0].strip()
        if response.status_code == 200 and told == "text/event-stream":
            return response
        response.close()
        self._client.close()
        if response.status_code != 200:
            raise refused(self._name, response.status_code, response.headers.get("retry-after"))
        raise ConfigurationError(
            f"The url of connection {self._name!r} gives no Server-Sent Events", value=told, valid="text/event-stream"
        )

    def _run(self) -> None:
        try:
            for data in self._response.iter_bytes():
                if not self._keep(data):
                    return
            problem: PenstockError = self._away("it ended the response")
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            problem = self._away(error)
        finally:
            with suppress(httpx.HTTPError, OSError):
                self._response.close()
        with self._changed:
            self._problem = self._problem or problem
            self._changed.notify_all()

    def _keep(self, data: bytes) -> bool:
        """Keep the events that end here; returns whether more are wanted."""
        fresh = [event for event in self._events.fed(data) if not self._known(event)]
        with self._changed:
            if self._events.held > _LONGEST:
                self._problem = ConfigurationError(
                    f"An event of connection {self._name!r} is longer than {_LONGEST // 2**20} MiB and has no end"
                )
                self._changed.notify_all()
                return False
            self._found.extend(fresh)
            self._size += sum(len(event.data) for event in fresh)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._size <= 4 * MOST or self._closed)
            return not self._closed

    def _known(self, event: Event) -> bool:
        """Say whether a server begins with the last event that we had, which some do."""
        self._repeated = self._repeated and event.named and event.id == self._last
        return self._repeated

    def _away(self, error: object) -> TransientError:
        said = str(error) or type(error).__name__
        return TransientError(f"The events of connection {self._name!r} cannot be reached: {said}")
