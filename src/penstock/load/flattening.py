"""Taking nested columns apart by SQL: the columns of a table from what is read, the rows of a list from a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from penstock.load.columns import UNKNOWN, ServedColumn
from penstock.load.layout import Field, Kind, Path, TableLayout
from penstock.queries.text import identifier
from penstock.schema import Type, parse, spell
from penstock.values import dataclass


@dataclass(frozen=True, slots=True)
class Value:
    """SQL that gives a value, and its type."""

    expression: str
    type: Type

    def at(self, path: Path) -> Value | None:
        """Return the value at the end of steps into objects; None where this type has no such field."""
        found = self
        for step in path:
            member = next((each for each in found.type.members if each[0].lower() == step.lower()), None)
            if found.type.name != "STRUCT" or member is None:
                return None
            found = Value(f"({found.expression}).{identifier(member[0])}", member[1])
        return found


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of lists, as a relation with the columns ``parent``, ``place``, ``element``, ``load`` and those passed.

    Attributes:
        query: A SELECT.
        element: The type of the elements.
    """

    query: str
    element: Type


def flat(columns: Sequence[ServedColumn], table: TableLayout) -> tuple[ServedColumn, ...]:
    """Return the columns of a source's own table, in the place of those that are read."""
    read = {column.name.lower(): column for column in columns}
    found = []
    for field in table.fields:
        column = read.get(field.path[0].lower())
        if column is None:
            continue
        if len(field.path) == 1 and field.kind is Kind.VALUE:
            found.append(replace(column, name=field.name))
            continue
        value = typed(column).at(field.path[1:])
        if value is not None:
            # A key at the top may be called as the path to a nested one: only the former is found by its name.
            found.append(_column(field, value, column.source_name if len(field.path) == 1 else field.name))
    return tuple(found)


def fields_of(element: Value, table: TableLayout) -> tuple[ServedColumn, ...]:
    """Return the columns of a child table, from one element of its list."""
    found = [(field, element.at(field.path)) for field in table.fields]
    return tuple(_column(field, value, field.name) for field, value in found if value is not None)


def unnested(first: Value, table: TableLayout, relation: str, carried: Sequence[tuple[str, str]]) -> Rows | None:
    """Return the rows of a child table; None where what is read has no such list.

    Args:
        first: The column that holds the first list, over the relation.
        table: The child table.
        relation: What stands after FROM, with its condition.
        carried: Name and SQL, over the relation, of columns that each row keeps; ``parent``, the row's name, is one.
    """
    value = first.at(table.lists[0][1:])
    names = ", ".join(name for name, _ in carried if name != "parent")
    if value is None or value.type.name not in ("LIST", "ARRAY"):
        return None
    listed = ", ".join(f"{expression} AS {name}" for name, expression in carried)
    query = f"SELECT {listed}, {_list(value)} AS list FROM {relation}"
    element = value.type.members[0][1]
    for path in table.lists[1:]:
        query = (
            f"SELECT parent, {names}, unnest(list) AS element, generate_subscripts(list, 1) - 1 AS place FROM ({query})"
        )
        deeper = Value("element", element).at(path)
        if deeper is None or deeper.type.name not in ("LIST", "ARRAY"):
            return None
        query = f"SELECT parent || '-' || place AS parent, {names}, {_list(deeper)} AS list FROM ({query})"
        element = deeper.type.members[0][1]
    query = f"SELECT parent, {names}, unnest(list) AS element, generate_subscripts(list, 1) - 1 AS place FROM ({query})"
    return Rows(query, element)


def typed(column: ServedColumn) -> Value:
    """Return a column that is read, with its type taken apart; one that cannot be is a plain value."""
    try:
        return Value(column.expression, parse(column.type))
    except ValueError:
        return Value(column.expression, Type(column.type))


def _list(value: Value) -> str:
    if value.type.name == "ARRAY":
        return f"CAST({value.expression} AS {spell(value.type.members[0][1])}[])"
    return value.expression


def _column(field: Field, value: Value, source_name: str) -> ServedColumn:
    expression, type_ = value.expression, spell(_marked(value.type))
    if field.kind is Kind.LENGTH:
        known = value.type.name in ("LIST", "ARRAY")
        expression, type_ = (f"len({_list(value)})", "BIGINT") if known else ("NULL", "BIGINT")
    elif field.kind is Kind.JSON:
        expression, type_ = _json(value), "JSON"
    return ServedColumn(field.name, type_, expression, source_name)


def _json(value: Value) -> str:
    return value.expression if value.type.name == "JSON" else f"to_json({value.expression})"


def _marked(type_: Type) -> Type:
    """Spell the type of what held nothing but nulls as the warehouse does."""
    if type_.name == "NULL":
        return Type(UNKNOWN)
    return replace(type_, members=tuple((name, _marked(member)) for name, member in type_.members))
