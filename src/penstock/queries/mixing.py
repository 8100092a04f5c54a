"""Kinds of values that mix: objects or lists in one load, and something else in another, become JSON where they differ.

JSON holds both without loss: an object as it is, a text as a text of JSON. So the same records give the same column
whether they come in one load or in two. Numbers and texts do not mix, nor does what JSON cannot tell apart, as bytes.
"""

from __future__ import annotations

from typing import Protocol

from penstock.queries.text import identifier
from penstock.queries.widening import convert, grows, of_empty, widest
from penstock.schema import Type, parse, spell

MIXED = "several kinds"
"""The type at the source of a column that is JSON because values of several kinds came; its texts are texts of JSON."""

_NESTED = frozenset({"STRUCT", "LIST", "ARRAY", "MAP"})
_JSON = Type("JSON")
_UNTOLD = frozenset({"BLOB", "BIT", "UNION", "VARIANT", "GEOMETRY"})
"""Types whose values are no JSON, or others than they were when they come back from it."""


class Kept(Protocol):
    """A column as a table keeps it; ``model.entries.Column`` is one."""

    @property
    def type(self) -> str:
        """Its type."""
        ...

    @property
    def stored(self) -> str | None:
        """The type in its files, where that is another."""
        ...

    @property
    def source_type(self) -> str | None:
        """The type at the source, or ``MIXED``."""
        ...


def mixture(one: str, other: str, *, hopeful: bool = False) -> str | None:
    """Return the type for values of two kinds, of which one is nested; None where there is none.

    Args:
        one: The type so far.
        other: The type that comes.
        hopeful: Keep an object's type where JSON comes: an object without keys comes so, and fits.
    """
    try:
        met = _mixture(parse(one), parse(other), hopeful=hopeful)
    except ValueError:
        return None
    return None if met is None else spell(met)


def _mixture(one: Type, other: Type, *, hopeful: bool) -> Type | None:
    if one == other or other.name == "NULL":
        return one
    if one.name == "NULL":
        return other
    names = {one.name, other.name}
    if names == {"STRUCT"}:
        return _members(one, other, hopeful=hopeful)
    if names <= {"LIST", "ARRAY"}:
        inner = _mixture(one.members[0][1], other.members[0][1], hopeful=hopeful)
        return None if inner is None else Type("LIST", "", (("element", inner),))
    if "JSON" not in names:
        met = widest(spell(one), spell(other))
        if met is not None:
            return parse(met)
    if hopeful and one.name == "STRUCT" and other == _JSON:
        return one
    mixes = names & (_NESTED | {"JSON"}) and not (_untold(one) or _untold(other))
    return _JSON if mixes else None


def _members(one: Type, other: Type, *, hopeful: bool) -> Type | None:
    rest = {name.lower(): (name, member) for name, member in other.members}
    members = []
    for name, member in one.members:
        twin = rest.pop(name.lower(), None)
        met = member if twin is None else _mixture(member, twin[1], hopeful=hopeful)
        if met is None:
            return None
        members.append((name, met))
    return Type("STRUCT", "", (*members, *rest.values()))


def _untold(type_: Type) -> bool:
    return type_.name in _UNTOLD or any(_untold(member) for _, member in type_.members)


def remade(expression: str, type_: str, wanted: str, column: str, *, mixed: bool = False) -> str | None:
    """Return SQL that turns a value into a type that ``mixture`` gave, and stops at the first that would change.

    Args:
        expression: SQL of the value.
        type_: Its type.
        wanted: The type that it gets.
        column: The column, for messages.
        mixed: A text that becomes JSON is a text of JSON then, and is not read as JSON.

    Returns:
        None where the types are not such.
    """
    try:
        have, want = parse(type_), parse(wanted)
    except ValueError:
        return None
    if want == _JSON and (mixed or have.name in _NESTED):
        return expression if have == _JSON else f"to_json({expression})"
    if have.name not in _NESTED or want.name not in _NESTED:
        return None
    return _remade(expression, have, want, column)


def _remade(value: str, have: Type, want: Type, column: str, level: int = 0) -> str | None:
    if have == want:
        return value
    if have.name == "NULL":
        return f"CAST(NULL AS {spell(want)})"
    if want == _JSON:
        return f"to_json({value})"
    if have == _JSON:
        return of_empty(value, spell(want), column) if want.name == "STRUCT" else None
    if have.name == "STRUCT" and want.name == "STRUCT":
        return _object(value, have, want, column, level)
    if {have.name, want.name} <= {"LIST", "ARRAY"}:
        inner = _remade(f"e{level}", have.members[0][1], want.members[0][1], column, level + 1)
        return None if inner is None else f"list_transform({value}, lambda e{level}: {inner})"
    met = widest(spell(have), spell(want))
    return None if met != spell(want) else convert(value, spell(have), spell(want), column, column)


def _object(value: str, have: Type, want: Type, column: str, level: int) -> str | None:
    given = {name.lower(): (name, member) for name, member in have.members}
    parts = []
    for name, member in want.members:
        twin = given.pop(name.lower(), None)
        made = (
            f"CAST(NULL AS {spell(member)})"
            if twin is None
            else _remade(f"({value}).{identifier(twin[0])}", twin[1], member, column, level)
        )
        if made is None:
            return None
        parts.append(f"{identifier(name)} := {made}")
    return None if given else f"CASE WHEN {value} IS NOT NULL THEN struct_pack({', '.join(parts)}) END"


def reshaped(expression: str, type_: str, wanted: str, names: tuple[str, str], *, mixed: bool = False) -> str:
    """Return SQL that turns an expression into another type, and stops at the first value that would change.

    Args:
        expression: SQL of the value.
        type_: Its type.
        wanted: The type that it gets.
        names: Column and table, for messages.
        mixed: See ``remade``.

    Raises:
        DataError: If no value of the one type is one of the other.
    """
    made = remade(expression, type_, wanted, names[0], mixed=mixed) if "JSON" in type_ + wanted else None
    return made if made is not None else convert(expression, type_, wanted, *names)


def stored_otherwise(old: Kept, new: Kept) -> bool:
    """Say whether the files that hold a column are to be written anew for its new type."""
    if (old.stored or old.type) != (new.stored or new.type):
        return True
    return new.source_type == MIXED and old.type != new.type


def mixes(was: str, column: Kept) -> bool:
    """Say whether a column is JSON, or within it something is, where values were of another type before."""
    if column.type == "JSON":
        return column.source_type == MIXED and was != "JSON"
    if "JSON" not in column.type or grows(was, column.type):
        return False
    met = mixture(was, column.type)
    return met is not None and met == spell(parse(column.type)) != spell(parse(was))
