"""The client of Kafka, as far as it is needed: settings, errors as sentences, and offsets."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

from penstock.errors import ConfigurationError, TransientError
from penstock.model.specs import ConnectionSpec
from penstock.model.streams import Positions

_PATIENCE = 20.0
"""Seconds that are waited for an answer of the brokers."""
_SLICE = 2.0
"""Seconds after which one looks why there is none."""
_HELD = 16 * 1024
"""KiB of messages that the client fetches ahead, in all."""
Place = tuple[str, int]
"""Topic and partition."""


class Client:
    """One consumer, with partitions assigned by hand.

    Args:
        connection: ``kafka://host:port,host:port``; ``user`` and ``password`` for SASL, ``security`` and the ``ssl_…``
            files for TLS; anything that librdkafka knows in ``settings``.
        group: The group whose offsets are committed.
    """

    def __init__(self, connection: ConnectionSpec, group: str) -> None:
        from confluent_kafka import Consumer

        self._name = connection.name
        self._away = ""
        self._refused = ""
        self._unanswered = 0
        self._uncommitted: Any = None
        self._settings = settings(connection)
        logger = logging.Logger("penstock.kafka")
        logger.addHandler(logging.NullHandler())
        try:
            self._consumer = Consumer(
                {
                    **self._settings,
                    "group.id": group,
                    "enable.auto.commit": False,
                    "enable.auto.offset.store": False,
                    "enable.partition.eof": True,
                    "auto.offset.reset": "error",
                    "isolation.level": "read_committed",
                    "queued.max.messages.kbytes": _HELD,
                    "fetch.queue.backoff.ms": 50,
                    "error_cb": self._heard,
                    "on_commit": self._committed,
                },
                logger=logger,
            )
        except Exception as error:
            # The client refuses its settings by errors of several kinds; their text names the setting, not its value.
            if type(error).__module__.partition(".")[0] not in ("cimpl", "confluent_kafka", "builtins"):
                raise
            said = _said(error)
            files = [str(value) for name, value in self._settings.items() if f"{name} failed" in said]
            raise ConfigurationError(
                f"The settings of connection {self._name!r} are not understood: {said}", value=", ".join(files) or None
            ) from None

    def partitions(self, topics: Sequence[str]) -> dict[str, list[int]]:
        """Return the partitions of topics; a topic that is not there has none."""
        known = self._metadata().topics
        return {topic: sorted(known[topic].partitions) if topic in known else [] for topic in topics}

    def topics(self) -> list[str]:
        """Return the names of all topics, those of Kafka itself left out."""
        return sorted(name for name in self._metadata().topics if not name.startswith("__"))

    def beginning(self, topic: str, partition: int) -> int:
        """Return the first offset that a partition still has."""
        from confluent_kafka import KafkaException, TopicPartition

        try:
            low, _ = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_PATIENCE)
        except KafkaException as error:
            self.refuse(error.args[0], f"Asking for the offsets of {topic}")
        return int(low)

    def ends(self, places: Sequence[Place]) -> dict[Place, int]:
        """Return where partitions end for readers of committed messages."""
        from confluent_kafka import IsolationLevel, KafkaException, TopicPartition, admin

        # The client gives this class no types.
        latest = vars(admin)["OffsetSpec"].latest()
        asked = {TopicPartition(*place): latest for place in places}
        if not asked:
            return {}
        logger = logging.Logger("penstock.kafka")
        logger.addHandler(logging.NullHandler())
        if not hasattr(self, "_admin"):
            self._admin = admin.AdminClient(self._settings, logger=logger)
        try:
            told = self._admin.list_offsets(
                asked, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=_PATIENCE
            )
            return {(place.topic, place.partition): int(found.result().offset) for place, found in told.items()}
        except KafkaException as error:
            self.refuse(error.args[0], f"Asking where the topics of connection {self._name!r} end")

    def assign(self, at: Mapping[Place, int]) -> None:
        """Read these partitions, and no others, from these offsets on."""
        from confluent_kafka import TopicPartition

        self._consumer.assign([TopicPartition(topic, partition, offset) for (topic, partition), offset in at.items()])

    def consume(self, most: int, wait: float) -> list[Any]:
        """Return messages, and what the client tells in their place."""
        from confluent_kafka import KafkaException

        try:
            found: list[Any] = self._consumer.consume(most, wait)
        except KafkaException as error:
            self.refuse(error.args[0], f"Reading from connection {self._name!r}")
        if found:
            self._away = ""
        return found

    def commit(self, at: Mapping[Place, int]) -> None:
        """Commit offsets of the group, and wait for no answer: whether it said no tells ``raise_if_uncommitted``."""
        from confluent_kafka import KafkaException, TopicPartition

        try:
            self._consumer.commit(
                offsets=[TopicPartition(topic, partition, offset) for (topic, partition), offset in at.items()],
                asynchronous=True,
            )
        except KafkaException as error:
            self._uncommitted = error.args[0]
        else:
            self._unanswered += 1

    def raise_if_uncommitted(self) -> None:
        """Raise an error where offsets that were committed before are not."""
        said, self._uncommitted = self._uncommitted, None
        if said is not None:
            self.refuse(said, f"Committing offsets for the displays of connection {self._name!r}")

    def raise_if_away(self) -> None:
        """Raise TransientError where all brokers are away, ConfigurationError where they do not let us in."""
        if self._refused:
            said, self._refused = self._refused, ""
            raise ConfigurationError(
                f"The brokers of connection {self._name!r} do not let us in: {said}",
                remedy="Look at its user, password and security",
            )
        if self._away:
            said, self._away = self._away, ""
            raise TransientError(f"The brokers of connection {self._name!r} cannot be reached: {said}")

    def refuse(self, error: Any, doing: str) -> NoReturn:
        """Raise an error of the client as one of ours."""
        from confluent_kafka import KafkaError

        said = _said(error)
        if error.code() in (
            KafkaError.TOPIC_AUTHORIZATION_FAILED,
            KafkaError.GROUP_AUTHORIZATION_FAILED,
            KafkaError._AUTHENTICATION,  # noqa: SLF001 - the client's name for it
        ):
            raise ConfigurationError(f"{doing} is refused: {said}", remedy="Look at the rights of its user")
        self.raise_if_away()
        raise TransientError(f"{doing} failed: {said}")

    def close(self) -> None:
        """Leave; offsets that were committed last may still reach the group."""
        ends = time.monotonic() + _SLICE
        while self._unanswered and time.monotonic() < ends:
            self._consumer.poll(_SLICE / 40)
        self._consumer.close()

    def _committed(self, error: Any, partitions: Sequence[Any]) -> None:
        self._unanswered -= 1
        self._uncommitted = error or next((each.error for each in partitions if each.error is not None), None)

    def _metadata(self) -> Any:
        from confluent_kafka import KafkaException

        ends = time.monotonic() + _PATIENCE
        while True:
            try:
                return self._consumer.list_topics(timeout=_SLICE)
            except KafkaException as error:
                # Why nobody answers is told by the way, and a refusal is nothing to wait for.
                self._consumer.poll(0)
                if self._refused or time.monotonic() > ends:
                    self.refuse(error.args[0], f"Asking connection {self._name!r} for its topics")

    def _heard(self, error: Any) -> None:
        from confluent_kafka import KafkaError

        if error.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL):  # noqa: SLF001 - the client's names for them
            self._refused = _said(error)
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001
            self._away = _said(error)


def settings(connection: ConnectionSpec) -> dict[str, Any]:
    """Return a connection as librdkafka's settings.

    Raises:
        ConfigurationError: It names no broker.
    """
    scheme, _, rest = connection.url.partition("://")
    hosts = rest.rpartition("@")[2].partition("/")[0]
    if scheme != "kafka" or not hosts:
        raise ConfigurationError(
            f"Connection {connection.name!r} names no broker", value=connection.url, valid="kafka://host:9092,host:9092"
        )
    told = connection.options
    user = told.get("user") or unquote(urlsplit(f"kafka://{rest}").username or "") if "@" in rest else told.get("user")
    found: dict[str, Any] = {"bootstrap.servers": hosts}
    if user:
        found |= {"sasl.mechanism": told.get("sasl_mechanism", "PLAIN"), "sasl.username": user}
        found["sasl.password"] = connection.secrets.get("password", "")
    security = told.get("security") or ("sasl_ssl" if user else "plaintext")
    found["security.protocol"] = str(security)
    for name in ("ssl_ca", "ssl_certificate", "ssl_key_file"):
        if name in told:
            found[f"{name.replace('_file', '').replace('_', '.')}.location"] = str(told[name])
    if "ssl_key_password" in connection.secrets:
        found["ssl.key.password"] = connection.secrets["ssl_key_password"]
    further = dict(told.get("settings") or {})
    for name in further:
        if "password" in name or "secret" in name:
            raise ConfigurationError(
                f"The settings of connection {connection.name!r} hold a secret in the clear",
                value=name,
                remedy="Give it as password, or as ssl_key_password",
            )
    return {**found, **further}


def offsets_of(positions: Positions) -> dict[Place, int]:
    """Return positions by topic and partition."""
    return {(topic, int(partition)): at for topic, each in positions.items() for partition, at in each.items()}


def _said(error: Any) -> str:
    inner = error.args[0] if getattr(error, "args", ()) else error
    text = inner.str() if hasattr(inner, "str") else str(error)
    return " ".join(str(text).split())[:200]
