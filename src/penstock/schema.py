"""Types: how a DuckDB type is stored in the lake where Delta has none like it, and how it is restored.

The stored form is what a plain Delta reader sees; the original stands in the manifest's schema. Sources: the Delta
protocol's primitive types (byte, short, integer, long, float, double, decimal up to 38 digits, string, binary,
boolean, date, timestamp, timestamp_ntz), DuckDB's type list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache

from penstock.values import dataclass

SOURCE_TYPE = "penstock.source_type"
"""The key under which the metadata of Arrow and Delta fields name the type that a column has at its source."""
TYPE = "penstock.type"
"""The key under which the metadata of a Delta field names the DuckDB type that its stored form stands for."""

LONG = 16 * 2**20
"""Bytes from which on a value is long."""
TRUSTED_JSON = "penstock_trusted_json"
"""The engine's function that takes a text for JSON as it is; see ``stores.engine``."""

MOMENTS = ("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE")
"""The types of dates and timestamps."""


@dataclass(frozen=True, slots=True)
class Storage:
    """How one type is stored.

    Attributes:
        stored: The DuckDB type of the stored form.
        store: SQL from the original ``{}`` to the stored form.
        restore: SQL from the stored form ``{}`` back to the original.
    """

    stored: str
    store: str
    restore: str


def _cast(stored: str, original: str) -> Storage:
    return Storage(stored, f"CAST({{}} AS {stored})", f"CAST({{}} AS {original})")


_STORAGE = {
    "UBIGINT": _cast("DECIMAL(20,0)", "UBIGINT"),
    "UINTEGER": _cast("BIGINT", "UINTEGER"),
    "USMALLINT": _cast("INTEGER", "USMALLINT"),
    "UTINYINT": _cast("SMALLINT", "UTINYINT"),
    "HUGEINT": _cast("VARCHAR", "HUGEINT"),
    "UHUGEINT": _cast("VARCHAR", "UHUGEINT"),
    "UUID": _cast("VARCHAR", "UUID"),
    # It was JSON when it was stored. To parse it once more takes five times its length, which a long text must not.
    "JSON": Storage(
        "VARCHAR",
        "CAST({} AS VARCHAR)",
        f"CASE WHEN strlen({{}}) < {LONG} THEN CAST({{}} AS JSON) ELSE {TRUSTED_JSON}({{}}) END",
    ),
    "BIT": _cast("VARCHAR", "BIT"),
    "TIME": Storage(
        "BIGINT", "epoch_us({})", "make_time({} // 3600000000, ({} // 60000000) % 60, ({} % 60000000) / 1e6)"
    ),
    "TIME WITH TIME ZONE": _cast("VARCHAR", "TIME WITH TIME ZONE"),
    "TIMESTAMP_S": _cast("TIMESTAMP", "TIMESTAMP_S"),
    "TIMESTAMP_MS": _cast("TIMESTAMP", "TIMESTAMP_MS"),
    "TIMESTAMP_NS": Storage("BIGINT", "epoch_ns({})", "make_timestamp_ns({})"),
    "TIMESTAMPTZ_NS": Storage("BIGINT", "epoch_ns({})", "timezone('UTC', make_timestamp_ns({}))"),
    "INTERVAL": Storage(
        "STRUCT(months INTEGER, days INTEGER, micros BIGINT)",
        "CASE WHEN {} IS NOT NULL THEN struct_pack("
        "months := CAST(datepart('year', {}) * 12 + datepart('month', {}) AS INTEGER), "
        "days := CAST(datepart('day', {}) AS INTEGER), "
        "micros := CAST(datepart('hour', {}) * 3600000000 + datepart('minute', {}) * 60000000 "
        "+ datepart('microsecond', {}) AS BIGINT)) END",
        "to_months({}.months) + to_days({}.days) + to_microseconds({}.micros)",
    ),
    "NULL": _cast("VARCHAR", "VARCHAR"),
    '"NULL"': _cast("VARCHAR", "VARCHAR"),
}


NATIVE = frozenset(
    {
        "BOOLEAN",
        "TINYINT",
        "SMALLINT",
        "INTEGER",
        "BIGINT",
        "FLOAT",
        "DOUBLE",
        "DECIMAL",
        "VARCHAR",
        "BLOB",
        "DATE",
        "TIMESTAMP",
        "TIMESTAMP WITH TIME ZONE",
    }
)
"""The plain types that Delta has, without the arguments of DECIMAL."""

_CAST_ONLY = frozenset({"TIME", "TIMESTAMP_NS", "TIMESTAMPTZ_NS", "INTERVAL"})
"""Types whose stored form is reached by a function, which cannot be applied inside a nested value."""


def landed(type_: str) -> str:
    """Return the type that a DuckDB type is landed as: its own, but for those that no text could be restored to.

    Enumerations are texts, wherever they stand. A type whose text loses what it is (VARIANT, UNION), or that cannot be
    taken apart, is JSON as a whole; in a type that is nested too deep, what lies deepest is.
    """
    try:
        found = parse(type_)
        made = _landed(found, _DEEPEST)
    except ValueError:
        return "JSON"
    return type_ if made == found else spell(made)


def _landed(type_: Type, room: int) -> Type:
    if type_.name == "ENUM":
        return Type("VARCHAR")
    if type_.name == "VARIANT":
        raise ValueError(type_.name)
    if not type_.members:
        return type_
    left = room - (_OBJECT if type_.name == "STRUCT" else _LIST)
    if left < 0:
        return Type("JSON")
    return replace(type_, members=tuple((label, _landed(member, left)) for label, member in type_.members))


_DEEPEST = 114
_OBJECT = 3
"""Levels that an object takes in the text of a Delta schema, whose readers stop at 128."""
_LIST = 6
"""As how many levels a list counts: the time to hash a value doubles with each list within a list."""


@lru_cache(maxsize=1024)
def storage(type_: str) -> Storage | None:
    """Return how a DuckDB type is stored, or None where Delta has it.

    A nested type is stored with its members in stored form; a type that cannot be taken apart as text.
    """
    if type_.startswith("ENUM(") and type_.endswith(")"):
        return _cast("VARCHAR", "VARCHAR")
    known = _STORAGE.get(type_.upper())
    if known is not None:
        return known
    try:
        original = parse(type_)
    except ValueError:
        return _cast("VARCHAR", type_)
    stored = _stored(original)
    return None if stored == original else _cast(spell(stored), type_)


def known(type_: Type) -> bool:
    """Say whether every part of a type is one whose values the lake can hold."""
    if type_.members:
        return all(known(member) for _, member in type_.members)
    return type_.name in NATIVE or (type_.name in _STORAGE and type_.name != "NULL")


def store(expression: str, type_: str) -> str:
    """Return the SQL that turns an expression of a type into its stored form."""
    how = storage(type_)
    return expression if how is None else how.store.replace("{}", expression)


def restore(expression: str, type_: str) -> str:
    """Return the SQL that turns a stored expression back into its original type."""
    how = storage(type_)
    return expression if how is None else how.restore.replace("{}", expression)


def trusts(types: Iterable[str]) -> bool:
    """Say whether ``restore`` asks for ``TRUSTED_JSON`` of one of some types; of what is nested it does not."""
    return any(type_ == "JSON" for type_ in types)


@dataclass(frozen=True, slots=True)
class Type:
    """A DuckDB type taken apart.

    Attributes:
        name: ``LIST``, ``ARRAY``, ``STRUCT``, ``MAP``, or the plain name as ``DECIMAL``.
        arguments: What stands in brackets after a plain name, as ``10,2``; the labels of an ENUM; the length of an
            ARRAY.
        members: Of a STRUCT: name and type of each field; of a MAP: key and value; of a LIST or ARRAY: the element.
    """

    name: str
    arguments: str = ""
    members: tuple[tuple[str, Type], ...] = ()


def parse(text: str) -> Type:
    """Take a DuckDB type apart.

    Raises:
        ValueError: If it is no type that can be taken apart.
    """
    found, rest = _type(text.strip())
    if rest.strip():
        raise ValueError(text)
    return found


def spell(type_: Type) -> str:
    """Return the text of a type, as DuckDB spells it."""
    members = [(name, spell(member)) for name, member in type_.members]
    if type_.name in ("LIST", "ARRAY"):
        return f"{members[0][1]}[{type_.arguments}]"
    if type_.name == "MAP":
        return f"MAP({members[0][1]}, {members[1][1]})"
    if type_.name == "STRUCT":
        return "STRUCT(" + ", ".join(f"{_quote(name)} {member}" for name, member in members) + ")"
    if type_.name == "NULL":
        # Without quotes DuckDB takes it for no type.
        return '"NULL"'
    return f"{type_.name}({type_.arguments})" if type_.arguments else type_.name


_LABELS = re.compile(r"\(((?:\s*'(?:[^']|'')*'\s*,?)*)\)")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN = re.compile(r'"NULL"|(?:TIMESTAMP|TIME) WITH TIME ZONE|[A-Za-z_][A-Za-z0-9_]*')
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_SUFFIX = re.compile(r"\[(\d*)\]")


_ALIASES = {
    '"NULL"': "NULL",
    "INT": "INTEGER",
    "TEXT": "VARCHAR",
    "STRING": "VARCHAR",
    "BOOL": "BOOLEAN",
    "NUMERIC": "DECIMAL",
    "REAL": "FLOAT",
    "DATETIME": "TIMESTAMP",
    "TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE",
}


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _type(text: str) -> tuple[Type, str]:
    found, rest = _head(text.lstrip())
    while suffix := _SUFFIX.match(rest):
        found = Type("ARRAY" if suffix[1] else "LIST", suffix[1], (("element", found),))
        rest = rest[suffix.end() :]
    return found, rest


def _head(text: str) -> tuple[Type, str]:
    match = _PLAIN.match(text)
    if match is None:
        raise ValueError(text)
    name, rest = _ALIASES.get(match[0].upper(), match[0].upper()), text[match.end() :]
    if not rest.startswith("("):
        return Type(name), rest
    if name == "STRUCT":
        return _members(rest[1:], name, _field)
    if name == "MAP":
        found, rest = _members(rest[1:], name, lambda part: ("", *_type(part)))
        if len(found.members) != 2:
            raise ValueError(text)
        return found, rest
    if name == "UNION":
        raise ValueError(text)
    if name == "ENUM":
        return _labels(rest)
    inside, closed, rest = rest[1:].partition(")")
    if not closed:
        raise ValueError(text)
    return Type(name, inside.replace(" ", "")), rest


def _labels(rest: str) -> tuple[Type, str]:
    match = _LABELS.match(rest)
    if match is None:
        raise ValueError(rest)
    return Type("ENUM", match[1]), rest[match.end() :]


def _members(rest: str, name: str, read: Callable[[str], tuple[str, Type, str]]) -> tuple[Type, str]:
    members = []
    while True:
        label, member, rest = read(rest.lstrip())
        members.append((label, member))
        rest = rest.lstrip()
        if rest.startswith(")"):
            return Type(name, "", tuple(members)), rest[1:]
        if not rest.startswith(","):
            raise ValueError(rest)
        rest = rest[1:]


def _field(text: str) -> tuple[str, Type, str]:
    quoted = _QUOTED.match(text)
    word = quoted or _WORD.match(text)
    if word is None:
        raise ValueError(text)
    label = quoted[1].replace('""', '"') if quoted else word[0]
    member, rest = _type(text[word.end() :])
    return label, member, rest


def _stored(type_: Type) -> Type:
    if type_.members:
        name = "LIST" if type_.name == "ARRAY" else type_.name
        return Type(name, "", tuple((label, _stored(member)) for label, member in type_.members))
    if type_.name in NATIVE:
        return type_
    known = None if type_.name in _CAST_ONLY else _STORAGE.get(type_.name)
    return parse(known.stored) if known is not None else Type("VARCHAR")
