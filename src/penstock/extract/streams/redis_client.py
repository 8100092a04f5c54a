"""The client of Redis, as far as it is needed: a connection, one look at a stream, and errors as sentences."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from penstock.errors import ConfigurationError, MissingExtraError, PenstockError, TransientError
from penstock.extract.streams.redis_offsets import offset_of
from penstock.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.model.specs import ConnectionSpec

_PATIENCE = 20.0
"""Seconds that are waited for an answer."""
_REACHED = 10.0
"""Seconds that are waited for a connection."""
Entry = tuple[bytes, list[bytes]]
"""An id, and names and values of fields in turn."""


@dataclass(frozen=True, slots=True)
class State:
    """A stream as it is.

    Attributes:
        there: There is a stream; without one, everything else is 0.
        following: The offset behind the last entry that there ever was.
        first: The offset of the first entry that is still there; ``following`` where there is none.
        added: How many entries there ever were.
        length: How many are there.
        deleted: The offset of the last of those that were deleted one by one (XDEL); -1: none.
    """

    there: bool = False
    following: int = 0
    first: int = 0
    added: int = 0
    length: int = 0
    deleted: int = -1


class Client:
    """One connection to a Redis.

    Args:
        connection: ``redis://host:6379/0`` or, with TLS, ``rediss://…``; ``user``, ``password``, ``ssl_ca``,
            ``ssl_certificate``, ``ssl_key_file``.
    """

    def __init__(self, connection: ConnectionSpec) -> None:
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError:
            raise MissingExtraError("Reading from Redis", "redis") from None
        self._name = connection.name
        # The client gives its raw commands no types.
        self._redis: Any = redis.Redis(
            **_settings(connection),
            protocol=2,
            socket_timeout=_PATIENCE,
            socket_connect_timeout=_REACHED,
            retry=Retry(NoBackoff(), 0),
        )
        # Answers are made into columns here: the client's own way makes a dictionary of each entry.
        self._redis.response_callbacks.clear()

    def look(self, stream: str, start: str = "-", count: int = 0) -> tuple[State, Sequence[Entry]]:
        """Return a stream's state and entries from an id on, both of one moment.

        Raises:
            ConfigurationError: The key is no stream; the server is too old, or does not let us in.
            TransientError: It cannot be reached.
        """
        import redis

        with self._told(f"Reading the stream {stream!r}"), self._redis.pipeline(transaction=True) as asked:
            asked.execute_command("XINFO STREAM", stream)
            if count:
                asked.execute_command("XRANGE", stream, start, "+", "COUNT", str(count))
            answers = asked.execute(raise_on_error=False)
            if isinstance(answers[0], redis.ResponseError) and "no such key" in str(answers[0]).lower():
                return State(), ()
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
        return self._state(stream, answers[0]), answers[1] if count else ()

    def wait(self, stream: str, after: str, seconds: float) -> None:
        """Wait until there is an entry behind an id, as long as told."""
        with self._told(f"Waiting for the stream {stream!r}"):
            milliseconds = str(max(1, int(seconds * 1000)))
            self._redis.execute_command("XREAD", "COUNT", "1", "BLOCK", milliseconds, "STREAMS", stream, after)

    def show(self, stream: str, group: str, last: str, read: int | None) -> None:
        """Set the id that a group has read up to; the group is made where it is not there."""
        import redis

        counted = () if read is None else ("ENTRIESREAD", str(read))
        with self._told(f"Setting the group {group!r} of the stream {stream!r}"):
            try:
                self._redis.execute_command("XGROUP", "SETID", stream, group, last, *counted)
            except redis.ResponseError as error:
                if "NOGROUP" not in str(error) and "No such consumer group" not in str(error):
                    raise
                self._redis.execute_command("XGROUP", "CREATE", stream, group, last, *counted)

    def close(self) -> None:
        """Leave."""
        import redis

        with suppress(redis.RedisError):
            self._redis.close()

    def _state(self, stream: str, answer: Sequence[Any]) -> State:
        told = dict(zip(answer[::2], answer[1::2], strict=True))
        if b"entries-added" not in told or b"max-deleted-entry-id" not in told:
            raise ConfigurationError(
                f"The Redis of connection {self._name!r} cannot tell what was trimmed from {stream!r}",
                valid="Redis 7.0 or newer",
            )
        last = told[b"last-generated-id"]
        following = 0 if last == b"0-0" else offset_of(last, stream) + 1
        first = told[b"first-entry"]
        deleted = told[b"max-deleted-entry-id"]
        return State(
            there=True,
            following=following,
            first=offset_of(first[0], stream) if first else following,
            added=int(told[b"entries-added"]),
            length=int(told[b"length"]),
            deleted=-1 if deleted == b"0-0" else offset_of(deleted, stream),
        )

    @contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        """Raise what the client raises as ours."""
        import redis

        try:
            yield
        except PenstockError:
            raise
        except (redis.AuthenticationError, redis.exceptions.AuthorizationError) as error:
            raise ConfigurationError(
                f"The Redis of connection {self._name!r} does not let us in: {error}",
                remedy="Look at its user and password",
            ) from None
        except redis.exceptions.NoPermissionError as error:
            raise ConfigurationError(
                f"{doing} is refused by the Redis of connection {self._name!r}: {error}",
                remedy="Its user needs XINFO, XRANGE, XREAD and MULTI, and XGROUP where a group is named",
            ) from None
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            if _untrusted(error):
                raise ConfigurationError(
                    f"The certificate of connection {self._name!r} is not trusted: {error}",
                    remedy="Name the authority's certificate: ssl_ca = …",
                ) from None
            raise TransientError(f"The Redis of connection {self._name!r} cannot be reached: {error}") from None
        except (
            redis.exceptions.ReadOnlyError,
            redis.exceptions.TryAgainError,
            redis.exceptions.OutOfMemoryError,
        ) as error:
            raise TransientError(f"{doing} failed for now (connection {self._name!r}): {error}") from None
        except redis.RedisError as error:
            raise ConfigurationError(
                f"{doing} is refused by the Redis of connection {self._name!r}: {error}",
                remedy="Is the key a stream?" if "WRONGTYPE" in str(error) else None,
            ) from None


def _settings(connection: ConnectionSpec) -> dict[str, Any]:
    wrong = ConfigurationError(
        f"Connection {connection.name!r} is no address of a Redis",
        value=connection.url,
        valid="redis://host:6379/0, or rediss://… for TLS",
    )
    try:
        parts = urlsplit(connection.url)
        database = int(parts.path.strip("/") or 0)
        port = parts.port or 6379
    except ValueError:
        raise wrong from None
    if parts.scheme not in ("redis", "rediss") or not parts.hostname:
        raise wrong
    given = connection.options
    found: dict[str, Any] = {
        "host": parts.hostname,
        "port": port,
        "db": database,
        "username": given.get("user") or unquote(parts.username or "") or None,
        "password": connection.secrets.get("password"),
    }
    if parts.scheme == "rediss":
        names = {"ssl_ca": "ssl_ca_certs", "ssl_certificate": "ssl_certfile", "ssl_key_file": "ssl_keyfile"}
        found |= {"ssl": True, **{theirs: given[ours] for ours, theirs in names.items() if ours in given}}
    return found


def _untrusted(error: BaseException) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
