"""The client of NATS, as far as it is needed: calls that wait, over a loop of its own, and errors as sentences."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from penstock.errors import ConfigurationError, MissingExtraError, TransientError
from penstock.values import dataclass

if TYPE_CHECKING:
    from penstock.model.specs import ConnectionSpec

_PATIENCE = 20.0
"""Seconds that are waited for an answer."""
_FORGOTTEN = 3600.0
"""Seconds without a request after which the server forgets a consumer."""
_HELD = 512 * 2**20
"""Bytes that the client holds at most of what was asked for."""
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class State:
    """A stream as it is.

    Attributes:
        first: The sequence of the first message that is there; ``following`` where there is none.
        following: The sequence that the next one gets.
        created: The microsecond since 1970 at which the stream was made.
        size: Bytes of a message, on average.
        whole: Messages go from its beginning alone, so that a sequence that is missing within was deleted.
    """

    first: int
    following: int
    created: int
    size: float
    whole: bool


class Client:
    """One connection to NATS, made when it is needed, and anew after it broke.

    Args:
        connection: ``nats://host:4222,host:4222`` or, with TLS, ``tls://…``; ``user`` and ``password``, ``token`` or
            ``credentials_file``; ``ssl_ca``, ``ssl_certificate``, ``ssl_key_file``.
    """

    def __init__(self, connection: ConnectionSpec) -> None:
        try:
            import nats  # noqa: F401
        except ImportError:
            raise MissingExtraError("Reading from NATS", "nats") from None
        self._name = connection.name
        self._settings = _settings(connection)
        self._said = ""
        self._connected: Any = None
        self._reading: Any = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="nats", daemon=True)
        self._thread.start()

    def state(self, stream: str) -> State:
        """Return a stream's state.

        Raises:
            ConfigurationError: There is no such stream; we are not let in.
            TransientError: The servers cannot be reached.
        """
        return self._answer(self._state(stream), f"Reading the stream {stream!r}", stream)

    def end(self, stream: str, subject: str) -> int:
        """Return the sequence behind the last message of a subject; 0: there is none."""
        return self._answer(self._end(stream, subject), f"Reading the stream {stream!r}", stream)

    def fetch(self, stream: str, start: int, subject: str | None, count: int, wait: float) -> list[Any]:
        """Return messages that come next to those of the last call; from ``start`` on after ``leave``."""
        return self._answer(self._fetch(stream, start, subject, count, wait), f"Reading the stream {stream!r}", stream)

    def leave(self) -> None:
        """Forget where reading was."""
        reading, self._reading = self._reading, None
        if reading is not None and self._connected is not None:
            with suppress(ConfigurationError, TransientError):
                self._answer(reading.unsubscribe(), "Leaving", "")

    def close(self) -> None:
        """Leave, and end the loop."""
        if self._loop.is_closed():
            return
        self._drop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
        self._loop.close()

    async def _connection(self) -> Any:
        from nats.aio.client import Client as Connection

        if self._connected is None or self._connected.is_closed:
            self._reading = None
            # It is kept before it is connected, so that what was opened is closed where it is refused.
            self._connected = Connection()
            await self._connected.connect(
                **self._settings,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0.1,
                connect_timeout=5,
                error_cb=self._heard,
            )
        return self._connected

    async def _heard(self, error: Exception) -> None:
        self._said = str(error)

    async def _state(self, stream: str) -> State:
        found = await (await self._connection()).jetstream().stream_info(stream)
        state, settings = found.state, found.config
        following = state.last_seq + 1
        return State(
            first=state.first_seq if state.messages else following,
            following=following,
            created=int(found.created.timestamp() * 1e6),
            size=state.bytes / state.messages if state.messages else 0.0,
            whole=(settings.max_msgs_per_subject or 0) <= 0 and not settings.allow_rollup_hdrs,
        )

    async def _end(self, stream: str, subject: str) -> int:
        from nats.js.errors import NotFoundError

        jetstream = (await self._connection()).jetstream()
        try:
            return int((await jetstream.get_last_msg(stream, subject)).seq) + 1
        except NotFoundError:
            await jetstream.stream_info(stream)
            return 0

    async def _fetch(self, stream: str, start: int, subject: str | None, count: int, wait: float) -> list[Any]:
        from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

        jetstream = (await self._connection()).jetstream()
        if self._reading is None:
            made = await jetstream.add_consumer(
                stream,
                ConsumerConfig(
                    deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                    opt_start_seq=max(1, start),
                    ack_policy=AckPolicy.NONE,
                    filter_subject=subject,
                    inactive_threshold=_FORGOTTEN,
                    mem_storage=True,
                ),
            )
            self._reading = await jetstream.pull_subscribe_bind(
                consumer=made.name, stream=stream, pending_bytes_limit=_HELD
            )
        try:
            found: list[Any] = await self._reading.fetch(count, timeout=max(0.05, wait))
        except TimeoutError:
            # Its own, or asyncio's where the last answer came as the time ran out.
            return []
        return found

    def _answer(self, asked: Coroutine[Any, Any, Answer], doing: str, stream: str) -> Answer:
        """Wait for an answer; raise what the client raises as ours."""
        import nats.errors
        import nats.js.errors

        self._said = ""
        try:
            return asyncio.run_coroutine_threadsafe(asyncio.wait_for(asked, _PATIENCE), self._loop).result()
        except nats.js.errors.NotFoundError as error:
            self._drop()
            if stream and "stream" in str(error.description or ""):
                raise ConfigurationError(
                    f"There is no stream {stream!r} in the NATS of connection {self._name!r}",
                    remedy="Make it, or name one that is there: nats stream ls",
                ) from None
            raise TransientError(f"{doing} failed (connection {self._name!r}): {error.description}") from None
        except ssl.SSLCertVerificationError as error:
            self._drop()
            raise ConfigurationError(
                f"The certificate of connection {self._name!r} is not trusted: {error.verify_message}",
                remedy="Name the authority's certificate: ssl_ca = …",
            ) from None
        except (nats.errors.Error, nats.js.errors.APIError, TimeoutError, OSError) as error:
            said = f"{error} {self._said}".strip() or type(error).__name__
            self._drop()
            self._refuse(said, doing)

    def _refuse(self, said: str, doing: str) -> NoReturn:
        lowered = said.lower()
        if "authorization" in lowered or "authentication" in lowered:
            raise ConfigurationError(
                f"The NATS of connection {self._name!r} does not let us in: {said}",
                remedy="Look at its user, password, token or credentials_file",
            )
        if "permissions violation" in lowered:
            raise ConfigurationError(
                f"{doing} is refused by the NATS of connection {self._name!r}: {said}",
                remedy="Its user needs $JS.API.STREAM.INFO, $JS.API.STREAM.MSG.GET, $JS.API.CONSUMER.> and _INBOX.>",
            )
        raise TransientError(f"The NATS of connection {self._name!r} cannot be reached: {said}")

    def _drop(self) -> None:
        """Give the connection up."""
        import nats.errors

        connected, self._connected, self._reading = self._connected, None, None
        if connected is not None:
            with suppress(nats.errors.Error, TimeoutError, OSError):
                asyncio.run_coroutine_threadsafe(asyncio.wait_for(connected.close(), 5), self._loop).result()


def _settings(connection: ConnectionSpec) -> dict[str, Any]:
    scheme, _, rest = connection.url.partition("://")
    user, _, hosts = rest.rpartition("@")
    hosts = hosts.rstrip("/")
    if scheme not in ("nats", "tls") or not hosts:
        raise ConfigurationError(
            f"Connection {connection.name!r} is no address of NATS",
            value=connection.url,
            valid="nats://host:4222,host:4222, or tls://… for TLS",
        )
    given, secrets = connection.options, connection.secrets
    found: dict[str, Any] = {"servers": [f"{scheme}://{host}" for host in hosts.split(",")]}
    if given.get("user") or user:
        found |= {"user": given.get("user") or user, "password": secrets.get("password", "")}
    if "token" in secrets:
        found["token"] = secrets["token"]
    if "credentials_file" in given:
        found["user_credentials"] = given["credentials_file"]
    if scheme == "tls":
        try:
            found["tls"] = ssl.create_default_context(cafile=given.get("ssl_ca"))
            if "ssl_certificate" in given:
                found["tls"].load_cert_chain(given["ssl_certificate"], given.get("ssl_key_file"))
        except OSError as error:
            raise ConfigurationError(
                f"The certificates of connection {connection.name!r} cannot be read: {error.strerror}"
            ) from None
    return found
