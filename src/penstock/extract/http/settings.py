"""How a connection is called: bounds of time, size, rate and attempts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from penstock.errors import ConfigurationError
from penstock.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """Bounds of every call.

    Attributes:
        rate: Calls per second, shared by all readers of the server in this process; None: no limit of ours.
        timeout: Seconds to wait for a connection, and for the next bytes of an answer.
        call_seconds: Seconds that one call may take in all, with its retries and waits.
        attempts: Tries of one call at most.
        backoff: Ceiling of the first wait between tries, in seconds.
        longest_wait: The longest wait that a server may ask for, in seconds.
        body_bytes: Bytes that one answer may have once it is unpacked.
        ssl_ca: A file of certificates that servers are trusted by; None: those of this machine.
        allow_hosts: Other hosts to which pages may lead; they never get the credentials.
    """

    rate: float | None = None
    timeout: float = 30.0
    call_seconds: float = 300.0
    attempts: int = 6
    backoff: float = 0.5
    longest_wait: float = 60.0
    body_bytes: int = 256 * 2**20
    allow_hosts: tuple[str, ...] = ()
    ssl_ca: str | None = None


SETTINGS = tuple(field.name for field in fields(HttpSettings))
"""The options of a connection or of a source that are read here."""


def settings_from(options: Mapping[str, Any], *, where: str) -> HttpSettings:
    """Read the settings out of options; other options are left alone.

    Raises:
        ConfigurationError: A number that is not positive, or a value of another type.
    """
    found: dict[str, Any] = {}
    for name in SETTINGS:
        if name not in options:
            continue
        value = options[name]
        if name == "allow_hosts":
            found[name] = (value,) if isinstance(value, str) else tuple(str(host) for host in value)
        elif name == "ssl_ca":
            found[name] = str(value)
        elif name == "rate" and value is None:
            continue
        else:
            found[name] = _positive(name, value, where)
    return HttpSettings(**found)


def _positive(name: str, value: Any, where: str) -> float | int:
    whole = name in ("attempts", "body_bytes")
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not value > 0:
        raise ConfigurationError(
            f"Option {name!r} of {where} is not usable", value=value, valid=f"a positive {'whole ' * whole}number"
        )
    return value
