"""Where nested values go: which columns and which child tables are made of the types that a source has had.

A layout depends on the united types of all loads alone, never on their order. Objects become columns ``a__b``; a list
of objects becomes a child table, and a column with its length; lists of plain values and maps stay as they are. What
lies deeper than a limit, lists of objects beyond the most child tables, lists of lists with objects, and a field that
is an object or a list in one load and something else in another are kept as JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum

from penstock.model.specs import Nested
from penstock.names import CREATED, LOAD, ORDER, UPDATED
from penstock.schema import Type
from penstock.values import dataclass

SEPARATOR = "__"
ROW_ID = "_row"
"""Names a row of a table that has, or is, a child table."""
PARENT = "_parent"
"""The ``_row`` of the row to which a row of a child table belongs."""
INDEX = "_index"
"""The place of a row of a child table in its list, from 0."""
KEY = "_key_"
"""Before the name of a key column of the source, in a child table."""

Path = tuple[str, ...]

_OWN = frozenset({LOAD, CREATED, UPDATED, ORDER, ROW_ID, PARENT, INDEX})
_JSON = Type("JSON")
_NESTED = frozenset({"STRUCT", "LIST", "ARRAY", "MAP"})
_AS_JSON = _NESTED | {"JSON"}


class Kind(StrEnum):
    """What a column holds of a value: the value, its JSON text, or the length of the list."""

    VALUE = "value"
    JSON = "json"
    LENGTH = "length"


@dataclass(frozen=True, slots=True)
class Field:
    """A column: its name, the steps to its value from the row, and what it holds of it."""

    name: str
    path: Path
    kind: Kind


@dataclass(frozen=True, slots=True)
class TableLayout:
    """A table.

    Attributes:
        suffix: What its name adds to that of the source's table; empty for that itself.
        lists: The steps to the list, from the row of the table above, for each level; none for the source's table.
        fields: Its columns, without those that Penstock adds.
    """

    suffix: str
    lists: tuple[Path, ...]
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """All tables of a source: first its own, then children, each after its parent.

    Attributes:
        mode: What the source asks for.
        tables: The tables.
        left: Lists of objects that stay JSON because there are too many child tables, and what is too deep.
    """

    mode: Nested
    tables: tuple[TableLayout, ...]
    left: tuple[str, ...] = ()

    @property
    def children(self) -> tuple[TableLayout, ...]:
        """Return the child tables."""
        return self.tables[1:]

    def extends(self, former: Layout) -> bool:
        """Say whether each column and table of a former layout is the same in this one."""
        return _places(former).items() <= _places(self).items()


@dataclass(frozen=True, slots=True)
class Limits:
    """How far nested values are taken apart: levels of objects and lists, and child tables."""

    depth: int
    tables: int


def layout(types: Mapping[str, Type], mode: Nested, limits: Limits) -> Layout:
    """Return the layout of columns with these types.

    Args:
        types: The columns of the source's table, by their names in the warehouse; types united over all loads.
        mode: ``tables`` or ``json``.
        limits: Beyond them values stay JSON.
    """
    made: list[tuple[tuple[Path, ...], list[tuple[Path, Kind]]]] = []
    left: list[str] = []
    level: list[tuple[tuple[Path, ...], Sequence[tuple[str, Type]], int]] = [((), tuple(types.items()), 0)]
    room = limits.tables if mode is Nested.TABLES else 0
    while level:
        opened = [_Opened(lists, _opened(members, depth, mode, limits)) for lists, members, depth in level]
        found = sorted((table.lists, path) for table in opened for path in table.lists_within)
        chosen = set(found[:room])
        room -= len(chosen)
        level = []
        for table in opened:
            columns = []
            for path, kind, type_, depth in table.nodes:
                if kind is Kind.LENGTH and (table.lists, path) in chosen:
                    level.append(((*table.lists, path), _element(type_).members, depth))
                    columns.append((path, Kind.LENGTH))
                else:
                    told = mode is Nested.TABLES and (kind is Kind.LENGTH or _too_deep(type_, kind, depth, limits))
                    left += [_dotted(table.lists, path)] if told else []
                    columns.append((path, Kind.JSON if kind is Kind.LENGTH else kind))
            made.append((table.lists, columns))
    suffixes = _suffixes([lists for lists, _ in made])
    return Layout(
        mode, tuple(TableLayout(suffixes[lists], lists, _named(columns)) for lists, columns in made), tuple(left)
    )


def unite(one: Type, other: Type) -> Type:
    """Return the type of a field over two loads, as far as a layout needs it: plain types are not widened."""
    if one == other or other.name == "NULL":
        return one
    if one.name == "NULL":
        return other
    names = {one.name, other.name}
    if names == {"STRUCT"}:
        rest = {name.lower(): (name, member) for name, member in other.members}
        members = []
        for name, member in one.members:
            twin = rest.pop(name.lower(), None)
            members.append((name, member if twin is None else unite(member, twin[1])))
        return Type("STRUCT", "", (*members, *rest.values()))
    if names <= {"LIST", "ARRAY"}:
        return Type("LIST", "", (("element", unite(_element(one), _element(other))),))
    return _JSON if names & _AS_JSON else one


@dataclass(frozen=True, slots=True)
class _Opened:
    lists: tuple[Path, ...]
    nodes: Sequence[tuple[Path, Kind, Type, int]]

    @property
    def lists_within(self) -> list[Path]:
        return [path for path, kind, _, _ in self.nodes if kind is Kind.LENGTH]


def _opened(
    members: Iterable[tuple[str, Type]], depth: int, mode: Nested, limits: Limits
) -> list[tuple[Path, Kind, Type, int]]:
    """Return the columns below an object: path, what it holds, type, depth; a list of objects has kind LENGTH."""
    found: list[tuple[Path, Kind, Type, int]] = []
    for name, type_ in members:
        if mode is Nested.JSON or depth >= limits.depth:
            found.append(((name,), Kind.JSON if type_.name in _AS_JSON else Kind.VALUE, type_, depth))
        elif type_.name == "STRUCT" and type_.members:
            below = _opened(type_.members, depth + 1, mode, limits)
            found += [((name, *path), kind, member, at) for path, kind, member, at in below]
        elif type_.name in ("LIST", "ARRAY"):
            found.append(((name,), _list_kind(_element(type_)), type_, depth + 1))
        else:
            found.append(((name,), Kind.JSON if type_.name in ("STRUCT", "JSON") else Kind.VALUE, type_, depth))
    return found


def _list_kind(element: Type) -> Kind:
    if element.name == "STRUCT" and element.members:
        return Kind.LENGTH
    return Kind.VALUE if _is_plain(element) else Kind.JSON


def _is_plain(type_: Type) -> bool:
    return type_.name not in ("STRUCT", "MAP", "JSON") and all(_is_plain(member) for _, member in type_.members)


def _too_deep(type_: Type, kind: Kind, depth: int, limits: Limits) -> bool:
    return kind is Kind.JSON and depth >= limits.depth and type_.name in _NESTED


def _element(type_: Type) -> Type:
    return type_.members[0][1]


def _named(columns: Sequence[tuple[Path, Kind]]) -> tuple[Field, ...]:
    """Name the columns of a table; where a name is taken, what is nested gives way, by a mark made of its path."""
    paths = [(*path, "length") if kind is Kind.LENGTH else path for path, kind in columns]
    names = _distinct(paths, lambda name: name in _OWN or name.startswith(KEY))
    return tuple(
        Field(name, path, kind) for name, (path, kind) in zip((names[path] for path in paths), columns, strict=True)
    )


def _suffixes(tables: Sequence[tuple[Path, ...]]) -> dict[tuple[Path, ...], str]:
    flat = {lists: tuple(step for path in lists for step in path) for lists in tables}
    names = _distinct([path for path in flat.values() if path])
    return {lists: SEPARATOR + names[path] if path else "" for lists, path in flat.items()}


def _distinct(paths: Sequence[Path], taken: Callable[[str], bool] | None = None) -> dict[Path, str]:
    counted = Counter(SEPARATOR.join(path).lower() for path in paths)
    names = {}
    for path in paths:
        name = SEPARATOR.join(path)
        free = not (taken and taken(name.lower())) and (counted[name.lower()] == 1 or len(path) == 1)
        mark = hashlib.sha256(json.dumps(path).encode()).hexdigest()[:8]
        names[path] = name if free else f"{name}{SEPARATOR}{mark}"
    return names


def _dotted(lists: tuple[Path, ...], path: Path) -> str:
    return ".".join(step for steps in (*lists, path) for step in steps)


def _places(layout_: Layout) -> dict[tuple[tuple[Path, ...], Path | None], tuple[str, str]]:
    found: dict[tuple[tuple[Path, ...], Path | None], tuple[str, str]] = {}
    for table in layout_.tables:
        found[table.lists, None] = (table.suffix, "")
        found |= {(table.lists, field.path): (field.name, field.kind.value) for field in table.fields}
    return found
