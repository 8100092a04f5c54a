"""What ``scope`` says of tables: what looks personal, which cursor fits, how to declare it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
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
_MOST = 0.8
"""Where so many values of a text are of one form, the others are odd ones."""
_NUMBER = re.compile(r"\s*[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?\s*")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?")
_GARBLED = re.compile("\ufffd|[ÃÂ][\u0080-\u00bf]")
_OLDEST = 1900
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


def malformed(samples: Mapping[str, Sequence[Any]], times: Collection[str], cursors: Sequence[str]) -> tuple[str, ...]:
    """Return sentences about columns whose sampled values look wrong, or come late; no value is shown.

    Args:
        samples: Column to some of its values.
        times: The columns that hold moments.
        cursors: The columns that could serve as a cursor, best first.
    """
    remarks: list[str] = []
    for column, values in samples.items():
        held = [value for value in values if value is not None]
        if column in cursors[:1] and 0 < len(held) < len(values):
            remarks.append(
                f"{column} has no value in {len(values) - len(held)} of {len(values)} rows looked at; "
                "on_null_cursor says what becomes of them"
            )
        if column in times:
            remarks += _odd_moments(column, held)
        texts = [value for value in held if isinstance(value, str)]
        if texts and column not in times:
            remarks += _odd_texts(column, texts)
    return tuple(remarks)


def _odd_moments(column: str, held: Sequence[Any]) -> list[str]:
    found = [_moment(value) for value in held]
    none = sum(1 for moment in found if moment is None)
    now = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1)
    old = sum(1 for moment in found if moment is not None and moment.year < _OLDEST)
    ahead = sum(1 for moment in found if moment is not None and moment > now)
    told = ((none, "is no moment"), (old, f"lies before {_OLDEST}"), (ahead, "lies in the future"))
    return [f"{column} {what} in {count} of {len(held)} rows looked at" for count, what in told if count]


def _odd_texts(column: str, texts: Sequence[str]) -> list[str]:
    remarks = []
    filled = [text for text in texts if text.strip()]
    for form, what in ((_NUMBER, "numbers"), (_MOMENT, "moments")):
        fitting = sum(1 for text in filled if form.fullmatch(text))
        if _MOST * len(filled) <= fitting < len(filled):
            remarks.append(
                f"{column} holds {what} as text, but for {len(filled) - fitting} of {len(filled)} rows looked at"
            )
    padded = sum(1 for text in filled if text != text.strip())
    if 0 < padded < len(filled):
        remarks.append(f"{column} has blanks at an end in {padded} of {len(texts)} rows looked at")
    if len(texts) > len(filled):
        remarks.append(f"{column} is an empty text in {len(texts) - len(filled)} of {len(texts)} rows looked at")
    garbled = sum(1 for text in texts if _GARBLED.search(text))
    if garbled:
        remarks.append(f"{column} looks as if it was read by a wrong character set in {garbled} of {len(texts)} rows")
    return remarks


def _moment(value: Any) -> datetime | None:
    """Return a moment without its zone, whole days and ISO texts too; None for all else."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    return datetime.combine(value, time()) if isinstance(value, date) else None


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
