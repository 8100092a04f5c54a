"""What ``scope`` says of tables: what looks personal, which cursor fits, how to declare it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_PERSONAL_NAMES = {
    "an e-mail address": r"e?mail",
    "a telephone number": r"phone|mobile|telephone|fax",
    "a person's name": r"(first|last|full|given|family|sur|user|middle|maiden)_?name|surname",
    "a postal address": r"street|address|addr|postcode|zip_?code|postal",
    "a national number": r"ssn|social_security|passport|national_id|tax_?id|nino",
    "a date of birth": r"birth|dob|date_of_birth",
    "a network address": r"ip|ip_?addr(ess)?|client_ip|remote_addr",
    "a bank account or card": r"iban|card_?(number|no)|credit_?card|account_?(number|no)",
    "a position of a person": r"geo_?location|gps",
}
_PERSONAL_VALUES = {
    "an e-mail address": re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}"),
    "a network address": re.compile(r"(?:\d{1,3}\.){3}\d{1,3}"),
    "a bank account or card": re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}|(?:\d[ -]?){15}\d"),
    "a national number": re.compile(r"\d{3}-\d{2}-\d{4}"),
    "a telephone number": re.compile(r"\+\d[\d ()-]{7,}\d|\(\d{3}\) ?\d{3}-\d{4}"),
}
_CURSOR_NAMES = re.compile(
    r"updated?(_?(at|on|time|date|ts))?|modified(_?(at|on|time|date))?|last_?(update|modified|change)\w*|"
    r"changed(_?(at|on))?|created?(_?(at|on|time|date|ts))?|inserted_?(at|on)|event_?time|ingested_?at|"
    r"time_?stamp|\w*_?(time|ts)|time_hour|\w+_at"
)
_CHANGES = re.compile(r"updat|modif|chang")
_SHARE = 0.5
_LOOKS = " looks personal: "


def personal(columns: Iterable[str], samples: Mapping[str, Sequence[Any]]) -> tuple[str, ...]:
    """Return sentences about columns whose name or values look personal; no value is shown.

    Args:
        columns: All columns.
        samples: Column to some of its values.
    """
    remarks = []
    for column in columns:
        kind = _by_values(samples.get(column, ())) or _by_name(column)
        if kind:
            remarks.append(f"{column}{_LOOKS}{kind}")
    return tuple(remarks)


def protecting(suggestion: str, remarks: Iterable[str]) -> str:
    """Return a suggested line of Python with ``personal=[…]`` for the columns of which ``personal`` told something."""
    columns = [column for column, told, _ in (remark.partition(_LOOKS) for remark in remarks) if told]
    if not columns:
        return suggestion
    listed = ", ".join(
        '"' + column.replace("\\", "\\\\").replace('"', '\\"') + '"' for column in dict.fromkeys(columns)
    )
    return f"{suggestion.removesuffix(')')}, personal=[{listed}])"


def cursors(columns: Mapping[str, bool], key: Sequence[str], counting: Iterable[str]) -> tuple[str, ...]:
    """Return the columns that could serve as a cursor, best first.

    Args:
        columns: Column to whether it holds moments.
        key: The primary key.
        counting: Columns of whole numbers.
    """
    named = [column for column, times in columns.items() if times and _CURSOR_NAMES.fullmatch(column.lower())]
    named.sort(key=lambda column: (not _CHANGES.search(column.lower()), list(columns).index(column)))
    others = [column for column, times in columns.items() if times and column not in named]
    numbers = [key[0]] if len(key) == 1 and key[0] in set(counting) else []
    return (*named, *others, *numbers)


def pattern(found: Sequence[str], key: Sequence[str], rows: int | None) -> tuple[str, str]:
    """Return which way of reading fits, and why."""
    if not found:
        return "batch", "no column says when a row changed, so the whole table is read each time"
    size = "" if rows is None else f" of {rows:,} rows"
    first = found[0]
    if key and first in key:
        return "incremental", f"{first} grows with each new row{size}; changes of old rows would not be seen"
    return "incremental", f"{first} says how far the table{size} was read" + (
        "" if key else "; it has no key, so append"
    )


def suggestion(connection: str, table: str, found: Sequence[str], key: Sequence[str]) -> str:
    """Return the line of Python that declares a table of a database as a source."""
    parts = [repr(connection), f"table={table!r}"]
    if found:
        parts.append(f"cursor={found[0]!r}")
    if key:
        parts.append(f"key={key[0]!r}" if len(key) == 1 else f"key={list(key)!r}")
    parts.append("write='merge'" if found and key else "write='append'" if found else "write='replace'")
    return f"sources.sql({', '.join(parts)})".replace("'", '"')


def _by_name(column: str) -> str | None:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column).lower()
    for kind, expression in _PERSONAL_NAMES.items():
        if re.search(rf"(?:^|_)(?:{expression})(?:$|_)", words):
            return kind
    return None


def _by_values(values: Sequence[Any]) -> str | None:
    texts = [value for value in values if isinstance(value, str) and value]
    if not texts:
        return None
    for kind, expression in _PERSONAL_VALUES.items():
        if sum(1 for text in texts if expression.fullmatch(text)) >= max(1, _SHARE * len(texts)):
            return kind
    return None
