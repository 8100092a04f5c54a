"""Messages of a WebSocket: written to the disk as they come. What is sent while nobody listens is lost, and untold."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from penstock.errors import ConfigurationError, MissingExtraError, PenstockError, TransientError
from penstock.extract.streams import tls
from penstock.extract.streams.intake.feed import MOST, Quiet, Received, id_of
from penstock.extract.streams.intake.reader import IntakeReader
from penstock.extract.streams.port import Opening, Reader
from penstock.extract.streams.web_feeds.settings import headers_of, refused

_LONGEST = 64 * 2**20
"""Bytes of one message, at most."""
_PATIENCE = 15.0


class WebSocketSource:
    """Reads the messages of a URL; ``options``: ``send`` (texts, at the beginning), ``id`` (a field), ``folder``."""

    def open(self, opening: Opening) -> Reader:
        """Begin to read."""
        return IntakeReader(opening, _Feed(opening))


class _Feed:
    """Messages as a feed."""

    keeps = False
    lost = ""
    envelope: Mapping[str, str] = {"_timestamp": "timestamp", "_offset": "offset"}

    def __init__(self, opening: Opening) -> None:
        try:
            import websockets  # noqa: F401
        except ImportError:
            raise MissingExtraError("Reading from a WebSocket", "websocket") from None
        self.topic = opening.source.table
        self._connection = opening.endpoint
        self._name = self._connection.name
        self._id: str | None = opening.source.options.get("id")
        self._send = [str(each) for each in opening.source.options.get("send") or ()]
        self._open = ExitStack()
        self._connected: Any = None
        self._quiet = Quiet()

    def connect(self) -> None:
        """Begin to receive."""
        from websockets.exceptions import InvalidStatus, InvalidURI, WebSocketException
        from websockets.sync.client import connect

        self.close()
        url = self._connection.url
        secure = tls.context(self._connection) if url.startswith("wss:") else None
        try:
            self._connected = self._open.enter_context(
                connect(
                    url,
                    ssl=secure,
                    additional_headers=headers_of(self._connection),
                    open_timeout=_PATIENCE,
                    close_timeout=1,
                    max_size=_LONGEST,
                )
            )
            for text in self._send:
                self._connected.send(text)
        except InvalidStatus as error:
            raise refused(self._name, error.response.status_code) from None
        except InvalidURI:
            raise ConfigurationError(
                f"The url of connection {self._name!r} is none of a WebSocket", value=url, valid="wss://host/path"
            ) from None
        except ssl.SSLCertVerificationError as error:
            raise tls.untrusted(self._name, error) from None
        except (WebSocketException, OSError, TimeoutError) as error:
            raise self._away(error) from None
        self._quiet.heard()

    def receive(self, wait: float) -> Sequence[Received]:
        """Return messages that came."""
        from websockets.exceptions import WebSocketException

        found: list[Received] = []
        size = 0
        try:
            while size < MOST:
                message = self._connected.recv(timeout=0 if found else wait)
                value = message.encode() if isinstance(message, str) else message
                found.append(Received(id_of(value, self._id), None, value))
                size += len(value)
        except TimeoutError:
            pass
        except (WebSocketException, OSError) as error:
            # What came before is kept; the next call raises again.
            if not found:
                raise self._away(error) from None
        if found:
            self._quiet.heard()
        return found

    def settle(self, ticket: Any) -> None:
        """Tell nobody: nobody asks."""

    def empty(self) -> bool:
        """Say whether nothing has come for a while."""
        return bool(self._quiet)

    def close(self) -> None:
        """Leave."""
        self._connected = None
        self._open.close()

    def _away(self, error: BaseException) -> PenstockError:
        said = str(error) or type(error).__name__
        return TransientError(f"The WebSocket of connection {self._name!r} cannot be reached: {said}")
