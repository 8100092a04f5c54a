"""Files of web servers: one URL is one file."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import httpx

from penstock.errors import ConfigurationError, TransientError
from penstock.extract.files.places.opening import spelt, user_and_host
from penstock.extract.files.places.port import CHUNK, Access, Address, Listed, changed, forbidden, vanished

_NO_HEAD = (400, 403, 405, 501)
"""Answers of servers, and of signed addresses, that give a file but no HEAD of it."""


class WebPlace:
    """A web server.

    Args:
        where: The address, with what follows its question mark.
        access: ``user`` and ``password``, or ``token`` (sent as Bearer); ``timeout`` in seconds between two pieces.
    """

    def __init__(self, where: Address, access: Access) -> None:
        user, host, port = user_and_host(where.host)
        shown = host if port is None else f"{host}:{port}"
        self.address = f"{where.scheme}://{shown}/"
        self._query = where.query
        token, password = access.secrets.get("token"), access.secrets.get("password")
        user = user or access.options.get("user")
        # Compressed files are to come as they are, not unpacked on the way.
        headers = {"Accept-Encoding": "identity", **({"Authorization": f"Bearer {token}"} if token else {})}
        auth = httpx.BasicAuth(user, password or "") if user and not token else None
        timeout = float(access.options.get("timeout", 60))
        self._client = httpx.Client(headers=headers, auth=auth, follow_redirects=True, timeout=timeout)

    def one(self, name: str) -> Listed | None:
        """Ask for a file's size and time; see the port."""
        try:
            answer = self._client.head(self._url(name))
            if answer.status_code in _NO_HEAD:
                with self._client.stream("GET", self._url(name)) as begun:
                    answer = begun
        except httpx.HTTPError as error:
            raise self._failed(name, error) from None
        if answer.status_code in (404, 410):
            return None
        self._check(name, answer)
        return _listed(name, answer)

    def below(self, folder: str) -> Iterator[Listed]:
        """Refuse: a web server has no listing; see the port."""
        raise ConfigurationError(
            f"There is no file {self.address}{folder}, and a web server cannot be asked which files it has",
            valid="the address of one file",
        )

    def read(self, listed: Listed) -> Iterator[bytes]:
        """Yield a file's bytes, then ask again for its size, time and tag; see the port."""
        key, count = self.address + listed.name, 0
        try:
            with self._client.stream("GET", self._url(listed.name)) as answer:
                if answer.status_code in (404, 410):
                    raise vanished(key)
                self._check(listed.name, answer)
                self._same(listed, _listed(listed.name, answer))
                for chunk in answer.iter_raw(CHUNK):
                    count += len(chunk)
                    yield chunk
        except httpx.HTTPError as error:
            raise self._failed(listed.name, error) from None
        after = self.one(listed.name)
        if after is None:
            raise vanished(key)
        self._same(listed, after)
        if listed.bytes >= 0 and count != listed.bytes:
            raise changed(key, f"{listed.bytes} bytes", f"{count} bytes")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _same(self, before: Listed, after: Listed) -> None:
        if before != after:
            raise changed(self.address + before.name, f"{before.bytes} bytes", f"{after.bytes} bytes")

    def _url(self, name: str) -> str:
        return self.address + spelt(name) + (f"?{self._query}" if self._query else "")

    def _check(self, name: str, answer: httpx.Response) -> None:
        if answer.status_code in (401, 403):
            raise forbidden(self.address + name)
        if answer.status_code >= 500 or answer.status_code == 429:
            raise TransientError(f"{self.address}{name} answered with status {answer.status_code}")
        if not answer.is_success:
            raise ConfigurationError(f"{self.address}{name} answered with status {answer.status_code}")

    def _failed(self, name: str, error: httpx.HTTPError) -> TransientError:
        # The client's own text may hold the address with its signature.
        return TransientError(f"{self.address}{name} could not be fetched: {type(error).__name__}")


def _listed(name: str, answer: httpx.Response) -> Listed:
    """Return what headers say; a server that tells no size gives -1, and its file is known by tag and time."""
    told = answer.headers.get("last-modified")
    try:
        seconds = int(parsedate_to_datetime(told).timestamp()) if told else 0
    except ValueError:
        seconds = 0
    size = int(answer.headers.get("content-length", -1))
    return Listed(name, size, seconds * 10**9, answer.headers.get("etag", ""))
