"""Sending events: to a file, over HTTP or to Kafka."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from penstock.errors import ConfigurationError, MissingExtraError, TransientError
from penstock.model.lineage import EventsSpec


def send(events: Sequence[Mapping[str, Any]], spec: EventsSpec) -> None:
    """Send events, one after the other; whoever must not wait calls it in a thread of its own.

    Raises:
        TransientError: They could not be sent, or not all of them.
        ConfigurationError: The address is none of a file, HTTP or Kafka.
        MissingExtraError: The package for Kafka is not installed.
    """
    lines = [json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode() for event in events]
    scheme = urlsplit(spec.to).scheme
    where = spec.to.rpartition("@")[2]
    try:
        if scheme in ("http", "https"):
            _post(lines, spec)
        elif scheme == "kafka":
            _produce(lines, events[0]["run"]["runId"] if events else "", spec)
        else:
            _append(lines, spec.to)
    except OSError as error:
        raise TransientError(f"The lineage events could not be sent to {where}: {error}") from error


def _append(lines: Sequence[bytes], to: str) -> None:
    path = Path(to.removeprefix("file://"))
    path.parent.mkdir(parents=True, exist_ok=True)
    # One write, so that lines of runs at the same time do not mix.
    with path.open("ab", buffering=0) as file:
        file.write(b"".join(line + b"\n" for line in lines))


def _post(lines: Sequence[bytes], spec: EventsSpec) -> None:
    import httpx

    headers = {"Content-Type": "application/json"}
    if spec.token:
        headers["Authorization"] = f"Bearer {spec.token}"
    try:
        with httpx.Client(timeout=max(spec.wait, 1.0), headers=headers) as client:
            for line in lines:
                answer = client.post(spec.to, content=line)
                if answer.is_error:
                    raise TransientError(
                        f"The lineage events were refused by {urlsplit(spec.to).hostname}", value=answer.status_code
                    )
    except httpx.HTTPError as error:
        raise TransientError(
            f"The lineage events could not be sent to {urlsplit(spec.to).hostname}: {type(error).__name__}"
        ) from error


def _produce(lines: Sequence[bytes], key: str, spec: EventsSpec) -> None:
    try:
        from confluent_kafka import Producer
    except ImportError as error:
        raise MissingExtraError("Lineage events to Kafka", "kafka") from error
    place = urlsplit(spec.to)
    topic = place.path.strip("/")
    if not place.netloc or not topic:
        raise ConfigurationError(
            "lineage.events names no broker or no topic", value=spec.to, valid="kafka://host:9092/topic"
        )
    producer = Producer({"bootstrap.servers": place.netloc, "message.timeout.ms": int(max(spec.wait, 1.0) * 1000)})
    failures: list[str] = []
    for line in lines:
        # One key for all of a run, so that they stay in order.
        producer.produce(topic, line, key=key, on_delivery=lambda error, _: failures.append(str(error or "")))
    left = producer.flush(max(spec.wait, 1.0))
    failures = [failure for failure in failures if failure]
    if left or failures:
        raise TransientError(
            f"{left + len(failures)} lineage events did not reach {place.netloc}",
            value=failures[0] if failures else None,
        )
