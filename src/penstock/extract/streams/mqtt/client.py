"""The client of MQTT 5, as far as it is needed: one session with its subscriptions, and errors as sentences.

Messages are asked for with quality of service 1. Quality 2 would need what was received to be kept between its four
packets, which the library does in memory alone: a kill between them would lose a message that the broker thinks is
here.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from penstock.errors import ConfigurationError, MissingExtraError, TransientError
from penstock.extract.streams import tls
from penstock.model.durations import parse_duration

if TYPE_CHECKING:
    from penstock.model.specs import ConnectionSpec

_PATIENCE = 15.0
"""Seconds that are waited for an answer."""
_ALIVE = 60
"""Seconds after which a silent end is taken for dead."""
_PORTS = {"mqtt": 1883, "mqtts": 8883}
_REFUSED = ("Not authorized", "Bad user name or password", "Banned", "Bad authentication method")


class Client:
    """One session, connected by ``connect``; used by one thread at a time.

    Args:
        connection: ``mqtt://host:1883`` or ``mqtts://…``; ``user`` and ``password``; ``session``, for how long the
            broker is to keep it (7 days); ``ssl_ca``, ``ssl_certificate``, ``ssl_key_file``.
        name: What the session is called at the broker.
        topics: The filters of topics that are subscribed to.
    """

    def __init__(self, connection: ConnectionSpec, name: str, topics: Sequence[str]) -> None:
        try:
            import paho.mqtt.client  # noqa: F401
        except ImportError:
            raise MissingExtraError("Reading from MQTT", "mqtt") from None
        self._connection = connection
        self._name = connection.name
        self._session = name
        self._topics = tuple(topics)
        self._place = _place(connection)
        self._kept = int(parse_duration(connection.options.get("session", "7d")).total_seconds())
        self._context = tls.context(connection) if connection.url.startswith("mqtts:") else None
        self._connected: Any = None
        self._found: list[Any] = []
        self._size = 0
        self._answers: list[Any] = []

    def connect(self) -> bool:
        """Connect and subscribe; returns whether the broker had kept the session.

        Raises:
            ConfigurationError: We are not let in, or may not read a topic.
            TransientError: The broker cannot be reached.
        """
        from paho.mqtt.client import CleanStartOption
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties
        from paho.mqtt.subscribeoptions import SubscribeOptions

        self.close()
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # it has no types
        properties.SessionExpiryInterval = min(self._kept, 2**32 - 2)
        clean: CleanStartOption = False
        self._connected = self._client()
        try:
            self._connected.connect(*self._place, keepalive=_ALIVE, clean_start=clean, properties=properties)
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise tls.untrusted(self._name, error) from None
        except OSError as error:
            self.close()
            raise self._away(error.strerror or str(error)) from None
        kept, code = self._answer()
        if code.is_failure:
            self.close()
            if str(code) in _REFUSED:
                raise ConfigurationError(
                    f"The MQTT broker of connection {self._name!r} does not let us in: {code}",
                    remedy="Look at its user and password",
                )
            raise self._away(str(code))
        # A subscription that is there is made again without its retained messages.
        wanted = [(topic, SubscribeOptions(qos=1, retainHandling=1)) for topic in self._topics]
        self._connected.subscribe(wanted)
        for topic, granted in zip(self._topics, self._answer(), strict=True):
            if granted.is_failure:
                self.close()
                raise ConfigurationError(
                    f"The topic {topic!r} may not be read by the user of connection {self._name!r}: {granted}"
                )
        return bool(kept)

    def receive(self, wait: float, most: int) -> list[Any]:
        """Return messages that came, about ``most`` bytes of them."""
        if self._connected is None:
            raise self._away("not connected")
        if not self._found:
            self._turn(wait)
        before = 0
        while self._size < most and len(self._found) > before:
            before = len(self._found)
            self._turn(0.0)
        found, self._found, self._size = self._found, [], 0
        return found

    def acknowledge(self, number: int) -> None:
        """Acknowledge a message by its number."""
        if self._connected is not None:
            self._connected.ack(number, 1)

    def close(self) -> None:
        """Leave; the broker keeps the session."""
        connected, self._connected = self._connected, None
        self._found, self._size, self._answers = [], 0, []
        if connected is not None:
            connected.disconnect()
            connected.loop(0.01)

    def _client(self) -> Any:
        from paho.mqtt.client import Client as Connection
        from paho.mqtt.client import MQTTv5
        from paho.mqtt.enums import CallbackAPIVersion

        made = Connection(
            CallbackAPIVersion.VERSION2,
            self._session,
            protocol=MQTTv5,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        made.connect_timeout = _PATIENCE
        user = self._connection.options.get("user") or _user(self._connection)
        if user:
            made.username_pw_set(user, self._connection.secrets.get("password"))
        if self._context is not None:
            made.tls_set_context(self._context)
        made.on_connect = _answering(self._answers, lambda _, flags, code, __: (flags.session_present, code))
        made.on_subscribe = _answering(self._answers, lambda _, __, codes, ___: codes)
        made.on_message = self._take
        return made

    def _answer(self) -> Any:
        """Wait for what the broker answers to a request."""
        end = time.monotonic() + _PATIENCE
        while not self._answers:
            if time.monotonic() > end:
                self.close()
                raise self._away(f"no answer within {_PATIENCE:.0f} s")
            self._turn(0.1)
        return self._answers.pop(0)

    def _turn(self, wait: float) -> None:
        from paho.mqtt.client import MQTT_ERR_SUCCESS, error_string

        try:
            code = self._connected.loop(wait)
        except ValueError:
            # The socket was closed within a callback.
            code = None
        if code != MQTT_ERR_SUCCESS and not self._answers:
            self.close()
            raise self._away("the connection broke" if code is None else error_string(code).rstrip("."))

    def _take(self, client: Any, userdata: Any, message: Any) -> None:  # noqa: ARG002 - as it is called
        self._found.append(message)
        self._size += len(message.payload)

    def _away(self, said: str) -> TransientError:
        return TransientError(f"The MQTT broker of connection {self._name!r} cannot be reached: {said}")


def _answering(answers: list[Any], made: Callable[..., Any]) -> Callable[..., None]:
    """Return a callback that keeps what it is called with, but for the client."""
    return lambda client, *given: answers.append(made(*given))  # noqa: ARG005 - as it is called


def _place(connection: ConnectionSpec) -> tuple[str, int]:
    scheme, _, rest = connection.url.partition("://")
    host, _, port = rest.rpartition("@")[2].rstrip("/").partition(":")
    if scheme not in _PORTS or not host or (port and not port.isdigit()):
        raise ConfigurationError(
            f"Connection {connection.name!r} is no address of an MQTT broker",
            value=connection.url,
            valid="mqtt://host:1883, or mqtts://… for TLS",
        )
    return host, int(port or _PORTS[scheme])


def _user(connection: ConnectionSpec) -> str:
    from urllib.parse import unquote, urlsplit

    return unquote(urlsplit(connection.url).username or "")
