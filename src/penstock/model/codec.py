"""Frozen values to canonical JSON and back, and fingerprints of them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Any, TypeVar, cast

from penstock.errors import DataError
from penstock.model.decoding import MisshapenError, reader

T = TypeVar("T")

_PLAIN = frozenset({str, int, float, bool})


def encode(value: Any) -> bytes:
    """Return a frozen value as canonical JSON: sorted keys, defaults left out, UTF-8."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(
        errors="surrogatepass"
    )


def decode(kind: type[T], data: bytes, *, where: str) -> T:
    """Read a value back.

    Args:
        kind: The class of the value.
        data: Canonical JSON.
        where: What is read, for the message.

    Raises:
        DataError: If the bytes are not such a value (torn, edited, or of a later version).
    """
    try:
        # A file name that is not UTF-8 holds lone surrogates.
        return cast(T, reader(cast(Any, kind))(json.loads(data.decode(errors="surrogatepass"))))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        place, problem = "the whole", f"it is not JSON ({error})"
    except MisshapenError as error:
        place, problem = ".".join(error.place) or "the whole", error.problem
    raise DataError(
        f"{where} is not a valid {kind.__name__.lower()}: {place}: {problem}",
        remedy="It may be torn or written by a later version of Penstock; see penstock doctor",
    )


def fingerprint(*values: Any) -> str:
    """Return 16 hex digits that change when any of the values changes."""
    text = json.dumps([plain(value) for value in values], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def plain(value: Any) -> Any:
    """Return a value as JSON data: dataclass fields equal to their default are left out."""
    if value is None or type(value) in _PLAIN:
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value) if _says(value, field)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
    return value


def _says(value: Any, field: Field[Any]) -> bool:
    """Say whether a field is data, and not equal to its default."""
    if not field.compare:
        return False
    default = field.default_factory() if field.default_factory is not MISSING else field.default
    return default is MISSING or bool(getattr(value, field.name) != default)
