"""What connections of feeds say: who we are, and for how long a far end may be silent."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from penstock.errors import ConfigurationError, PenstockError, TransientError
from penstock.model.durations import parse_duration

if TYPE_CHECKING:
    from penstock.model.specs import ConnectionSpec


def headers_of(connection: ConnectionSpec) -> dict[str, str]:
    """Return the headers of a request: those that are given, and ``user`` and ``password``, or ``token``.

    Raises:
        ConfigurationError: The headers are no texts by name.
    """
    given = connection.options.get("headers", {})
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise ConfigurationError(
            f"The headers of connection {connection.name!r} are no texts by name", valid='{ "X-Name" = "text" }'
        )
    found = dict(given)
    if "token" in connection.secrets:
        found["Authorization"] = f"Bearer {connection.secrets['token']}"
    elif "user" in connection.options:
        pair = f"{connection.options['user']}:{connection.secrets.get('password', '')}"
        found["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return found


def silence_of(connection: ConnectionSpec) -> float:
    """Return after how many seconds without a byte a far end is taken for dead."""
    return parse_duration(connection.options.get("silence", "5m")).total_seconds()


def refused(connection: str, status: int, after: str | None = None) -> PenstockError:
    """Return what a status that is no success means."""
    if status in (401, 403):
        return ConfigurationError(
            f"The far end of connection {connection!r} does not let us in: status {status}",
            remedy="Look at its token, or its user and password",
        )
    if status in (408, 425, 429) or status >= 500:
        wait = float(after) if after is not None and after.isdigit() else None
        return TransientError(
            f"The far end of connection {connection!r} cannot be reached: status {status}", retry_after=wait
        )
    return ConfigurationError(f"The far end of connection {connection!r} has nothing to read: status {status}")
