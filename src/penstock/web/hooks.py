"""The endpoint of webhooks: a request is answered once its event is durable, and not before."""

from __future__ import annotations

import asyncio
import errno
import json
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

from penstock.errors import ConfigurationError, MissingExtraError
from penstock.extract.streams.webhooks.inbox import Inbox
from penstock.extract.streams.webhooks.signatures import RefusedError

_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_MOST_AT_ONCE = 2000
"""Requests beyond these are asked to come again."""
_TAKEN = b'{"status": "ok"}'
_SWITCH = 0.0005
"""Seconds after which a thread gives way: what writes would wait ten times as long for what listens, and all who
are to be answered with it."""


class Hooks:
    """An ASGI application over inboxes.

    Args:
        inboxes: Path to the inbox.
    """

    def __init__(self, inboxes: Mapping[str, Inbox]) -> None:
        self._inboxes = inboxes
        self._answered: deque[tuple[asyncio.Future[None], OSError | None]] = deque()
        self._woken = False

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Answer one request."""
        try:
            await self._take(scope, receive)
            status, answer = 200, _TAKEN
        except RefusedError as refused:
            status, answer = refused.status, _problem(refused.why)
        except OSError as problem:
            full = problem.errno in (errno.ENOSPC, errno.EDQUOT)
            status, answer = 503, _problem("The disk is full" if full else "The event could not be written")
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        headers += [(b"retry-after", b"5")] if status == 503 else []
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _take(self, scope: _Scope, receive: _Receive) -> None:
        path, method = scope["path"], scope["method"]
        if path == "/healthz" and method == "GET":
            return
        inbox = self._inboxes.get(path)
        if inbox is None:
            raise RefusedError(404, "There is nothing here")
        if method != "POST":
            raise RefusedError(405, "Events are posted")
        body = await _body(receive, inbox.spec.most)
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        loop = asyncio.get_running_loop()
        durable: asyncio.Future[None] = loop.create_future()
        inbox.take(headers, body, lambda problem: self._told(loop, durable, problem))
        await durable

    def _told(self, loop: asyncio.AbstractEventLoop, durable: asyncio.Future[None], problem: OSError | None) -> None:
        """Note an answer; called from the inbox's thread. The loop is woken once for all that were written together."""
        self._answered.append((durable, problem))
        if not self._woken:
            self._woken = True
            loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        # First, so that what is noted from now on wakes the loop again.
        self._woken = False
        while self._answered:
            durable, problem = self._answered.popleft()
            if durable.done():
                # Whoever asked has hung up.
                continue
            if problem is None:
                durable.set_result(None)
            else:
                durable.set_exception(problem)


def _problem(why: str) -> bytes:
    return json.dumps({"error": why}).encode()


async def _body(receive: _Receive, most: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RefusedError(400, "The request ended before its body did")
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise RefusedError(413, f"An event has at most {most} bytes")
        parts.append(part)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


@contextmanager
def listening(inboxes: Mapping[str, Inbox], address: str) -> Iterator[str]:
    """Take webhooks in a thread, as long as the context lasts; gives the URL that it listens on.

    Args:
        inboxes: Path to the inbox; they are closed at the end.
        address: ``host:port``; port 0 takes a free one.

    Raises:
        ConfigurationError: The address is none, or cannot be listened on.
        MissingExtraError: ``penstock[webhooks]`` is not installed.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigurationError("This is no address to listen on", value=address, valid="127.0.0.1:8080")
    try:
        import uvicorn
    except ImportError:
        raise MissingExtraError("Webhooks", "webhooks") from None
    settings = uvicorn.Config(
        Hooks(inboxes),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        limit_concurrency=_MOST_AT_ONCE,
        timeout_graceful_shutdown=10,
    )
    server = uvicorn.Server(settings)
    found = _bound(settings, host, int(port))
    thread = threading.Thread(target=lambda: server.run([found]), name="webhooks", daemon=True)
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH)
    thread.start()
    try:
        yield f"http://{host}:{found.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        sys.setswitchinterval(before)
        found.close()
        for inbox in inboxes.values():
            inbox.close()


def _bound(settings: Any, host: str, port: int) -> Any:
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host.strip("[]"), port))
        found.listen(settings.backlog)
    except OSError as error:
        found.close()
        raise ConfigurationError(
            f"Webhooks cannot be taken at {host}:{port}: {error.strerror}", remedy="Choose another port: --listen"
        ) from error
    return found
