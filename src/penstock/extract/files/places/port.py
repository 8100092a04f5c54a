"""The port of places: what a store of files is to the reading of files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from penstock.errors import ConfigurationError, PenstockError, TransientError
from penstock.values import dataclass

CHUNK = 2**20
"""About how many bytes a place hands over at a time."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as a place listed it.

    Attributes:
        name: Its path below the place, without a leading slash.
        bytes: Its size.
        mtime_ns: When it was written, in nanoseconds since 1970, as exactly as the place tells; 0 if it does not.
        tag: What the place says of its content: an ETag or a version; empty if it says nothing.
    """

    name: str
    bytes: int
    mtime_ns: int
    tag: str = ""


class Place(Protocol):
    """One bucket, container or server. Opened for one reading, closed after it."""

    @property
    def address(self) -> str:
        """What stands before a name in keys and messages, as ``s3://bucket/``; holds no secret."""
        ...

    def one(self, name: str) -> Listed | None:
        """Return the file of exactly that name, or None."""
        ...

    def below(self, folder: str) -> Iterator[Listed]:
        """Yield all files below a folder (empty: the whole place), in any order."""
        ...

    def read(self, listed: Listed) -> Iterator[bytes]:
        """Yield the bytes of a file.

        Raises:
            TransientError: It vanished, or is at the end not any more what was listed.
        """
        ...

    def close(self) -> None:
        """Release connections."""
        ...


@dataclass(frozen=True, slots=True)
class Address:
    """Which place a URL means, and what in it.

    Attributes:
        scheme: ``s3``, ``gs``, ``az``, ``http``, ``https`` or ``sftp``.
        host: Bucket, container, or host with user and port.
        name: The path or glob below it, without a leading slash.
        query: What follows the question mark; may hold a signature, and is never shown.
    """

    scheme: str
    host: str
    name: str
    query: str = ""


@dataclass(frozen=True, slots=True)
class Access:
    """How a place is entered: what a connection says besides its URL.

    Attributes:
        options: Endpoint, region, user …
        secrets: Passwords and keys; never shown.
        root: The folder against which paths of key files are resolved.
    """

    options: Mapping[str, Any]
    secrets: Mapping[str, str]
    root: str = "."


def changed(key: str, before: object, after: object) -> TransientError:
    """Return the error for a file that is not any more what was listed."""
    return TransientError(
        f"The file {key} changed while it was read",
        value=f"{before} before, {after} after",
        remedy="The next attempt reads it again; write files under another name and rename them when whole",
    )


def vanished(key: str) -> TransientError:
    """Return the error for a file that is gone."""
    return TransientError(f"The file {key} vanished while it was read")


def forbidden(what: str) -> PenstockError:
    """Return the error for a place that does not let this user in."""
    return ConfigurationError(
        f"{what} may not be read with these credentials",
        remedy="Name them in the connection's secrets, or in the environment as the store's own tools do",
    )
