"""From DuckDB's types to PostgreSQL's: what a column is there, and the text by which COPY takes its values.

Each pair is exact: a value that the type in PostgreSQL cannot hold is refused, never rounded or cut.
"""

from __future__ import annotations

from penstock import schema
from penstock.values import dataclass

_PLAIN = {
    "BOOLEAN": "boolean",
    "TINYINT": "smallint",
    "SMALLINT": "smallint",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "UTINYINT": "smallint",
    "USMALLINT": "integer",
    "UINTEGER": "bigint",
    "UBIGINT": "numeric(20,0)",
    "HUGEINT": "numeric(39,0)",
    "UHUGEINT": "numeric(39,0)",
    "FLOAT": "real",
    "DOUBLE": "double precision",
    "VARCHAR": "text",
    "BLOB": "bytea",
    "BIT": "bit varying",
    "UUID": "uuid",
    "JSON": "jsonb",
    "DATE": "date",
    "TIME": "time without time zone",
    "TIME WITH TIME ZONE": "time with time zone",
    "TIMESTAMP": "timestamp without time zone",
    "TIMESTAMP_S": "timestamp without time zone",
    "TIMESTAMP_MS": "timestamp without time zone",
    "TIMESTAMP_NS": "timestamp without time zone",
    "TIMESTAMPTZ_NS": "timestamp with time zone",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
    "INTERVAL": "interval",
}
FINER = "finer than a microsecond"
"""What DuckDB's error says of a moment that PostgreSQL would round."""
_SPECIAL = frozenset({"VARCHAR", "JSON"})
"""Plain types whose text may hold what COPY gives a meaning; all other plain texts are free of it."""


@dataclass(frozen=True, slots=True)
class Held:
    """How PostgreSQL holds a column.

    Attributes:
        type: Its type there.
        text: SQL of DuckDB that makes the text of a value for COPY, from ``{}``; null of null.
    """

    type: str
    text: str


def held(type_: str) -> Held:
    """Return how PostgreSQL holds values of a DuckDB type.

    Lists of plain values are arrays; what is nested deeper is ``jsonb``; what has no equal is DuckDB's text.
    """
    try:
        found = schema.parse(type_)
    except ValueError:
        return Held("text", _escaped("CAST({} AS VARCHAR)"))
    plain = _named(found)
    if plain is not None:
        text = _text(found)
        return Held(plain, _escaped(text) if found.name in (*_SPECIAL, "BLOB") else text)
    if found.name in ("LIST", "ARRAY"):
        element = _named(found.members[0][1])
        if element is not None:
            return Held(f"{element}[]", _escaped(_array(found.members[0][1])))
    if found.members:
        return Held("jsonb", _escaped("CAST(to_json({}) AS VARCHAR)"))
    return Held("text", _escaped("CAST({} AS VARCHAR)"))


def _named(type_: schema.Type) -> str | None:
    """Return the PostgreSQL type of a plain type; None of a nested one, or one that has no equal."""
    if type_.name == "DECIMAL":
        return f"numeric({type_.arguments or '18,3'})"
    return None if type_.members else _PLAIN.get(type_.name)


def _text(type_: schema.Type) -> str:
    """Return the SQL that gives a plain value ``{}`` as PostgreSQL reads it."""
    if type_.name == "BLOB":
        return r"'\x' || lower(hex({}))"
    if type_.name in ("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP WITH TIME ZONE"):
        # Before our era DuckDB brackets the letters.
        return "replace(CAST({} AS VARCHAR), ' (BC)', ' BC')"
    if type_.name in ("TIMESTAMP_NS", "TIMESTAMPTZ_NS"):
        moment = "TIMESTAMP WITH TIME ZONE" if type_.name == "TIMESTAMPTZ_NS" else "TIMESTAMP"
        whole = f"replace(CAST(CAST({{}} AS {moment}) AS VARCHAR), ' (BC)', ' BC')"
        return f"CASE WHEN isfinite({{}}) AND epoch_ns({{}}) % 1000 <> 0 THEN error('{FINER}') ELSE {whole} END"
    if type_.name == "INTERVAL":
        return (
            "(datepart('year', {}) * 12 + datepart('month', {})) || ' mons ' || datepart('day', {}) || ' days ' || "
            "datepart('hour', {}) || ' hours ' || datepart('minute', {}) || ' mins ' || "
            "datepart('microsecond', {}) || ' us'"
        )
    return "CAST({} AS VARCHAR)"


def _array(element: schema.Type) -> str:
    """Return the SQL that gives a list ``{}`` as the text of an array, each element in quotes."""
    text = _text(element).replace("{}", "element")
    quoted = f"""'"' || replace(replace({text}, '\\', '\\\\'), '"', '\\"') || '"'"""
    return f"'{{' || array_to_string(list_transform({{}}, lambda element: coalesce({quoted}, 'NULL')), ',') || '}}'"


def _escaped(text: str) -> str:
    r"""Return the SQL that escapes what COPY gives a meaning: backslash, tab, and the ends of lines.

    Most values hold none of these, and are looked through once; a long one is then not copied.
    """
    changed = f"replace(replace(replace(replace({text}, '\\', '\\\\'), chr(9), '\\t'), chr(10), '\\n'), chr(13), '\\r')"
    return f"CASE WHEN regexp_matches({text}, '[\\\\\\t\\n\\r]') THEN {changed} ELSE {text} END"
