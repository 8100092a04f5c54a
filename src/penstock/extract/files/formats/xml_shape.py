"""What records of XML have in common: which names stand where, how often, and of which type their texts are.

Records become columns by it: an element that a record has twice is a list in all, one with members is a struct.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import field
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import DataError
from penstock.extract.files.formats import texts
from penstock.extract.files.formats.xml_records import TEXT, Raw
from penstock.values import dataclass

_MOST = 10_000
_VALUE = "value"


@dataclass(slots=True)
class Node:
    """What stands at one path.

    Attributes:
        path: Names from the record down, with slashes between them.
        members: Name to what stands there.
        many: Whether it is repeated.
        texts: Texts that were met since the last look at them.
        plain: Whether a text was met, blank ones aside where there are members.
    """

    path: str
    members: dict[str, Node] = field(default_factory=dict)
    many: bool = False
    texts: list[str] = field(default_factory=list)
    plain: bool = False


class Shape:
    """The shape of all records of a file.

    Args:
        session: Finds and makes types.
        said: What the user says of types, by paths.
        lists: Paths of what is a list, however often it stands.
        key: The file's name in messages.
    """

    def __init__(self, session: duckdb.DuckDBPyConnection, said: texts.Wishes, lists: Sequence[str], key: str) -> None:
        self.root = Node("")
        self._session = session
        self._said = said
        self._lists = frozenset(lists)
        self._evidence = texts.Evidence(session)
        self._key = key
        self._nodes: list[Node] = []

    def look(self, records: Sequence[Raw]) -> None:
        """Look at more records."""
        for record in records:
            self._look(self.root, record)
        for node in (self.root, *self._nodes):
            if node.texts:
                values = pc.utf8_trim_whitespace(pa.array(node.texts, pa.string()))
                self._evidence.look(self._key_of(node.path), pc.if_else(pc.equal(values, ""), None, values))
                node.texts = []

    def batch(self, records: Sequence[Raw], lines: Sequence[int]) -> pa.RecordBatch:
        """Return records as columns.

        Args:
            records: Some of those that were looked at.
            lines: Where each begins.

        Raises:
            DataError: A text is not of the type that the user says; names the line of its record.
        """
        made = self._struct(self.root, records, lines)
        return pa.RecordBatch.from_struct_array(made)

    def _look(self, node: Node, value: Raw) -> None:
        if value is None:
            return
        if isinstance(value, str):
            # An element that is empty here and has members there holds no text.
            node.plain = node.plain or value.strip() != ""
            node.texts.append(value)
            return
        for name, values in value.items():
            member = node.members.get(name)
            if member is None:
                member = self._new(node, name)
            if len(values) > 1:
                member.many = True
            for one in values:
                self._look(member, one)

    def _new(self, node: Node, name: str) -> Node:
        path = f"{node.path}/{name}" if node.path else name
        member = Node(path, many=path in self._lists)
        node.members[name] = member
        self._nodes.append(member)
        if len(self._nodes) > _MOST:
            raise DataError(
                f"The records of {self._key} hold over {_MOST:,} names at different places",
                remedy="Name smaller records with records=…",
            )
        return member

    def _array(self, node: Node, values: Sequence[Raw], lines: Sequence[int]) -> pa.Array:
        return self._struct(node, values, lines) if node.members else self._leaf(node, values, lines)

    def _struct(self, node: Node, values: Sequence[Raw], lines: Sequence[int]) -> pa.Array:
        members: dict[str, Node] = dict(node.members)
        own = TEXT if members else _VALUE
        if node.plain or not members:
            members.setdefault(own, Node(f"{node.path}/{own}" if node.path else own))
        arrays, fields = [], []
        for name, member in members.items():
            found = [_under(value, name, own) for value in values]
            if member.many:
                arrays.append(self._list(member, found, lines))
            else:
                arrays.append(self._array(member, [one[0] if one else None for one in found], lines))
            fields.append(pa.field(name, arrays[-1].type))
        # A record that is null altogether is a row of nulls.
        absent = pa.array([value is None for value in values]) if node is not self.root else None
        return pa.StructArray.from_arrays(arrays, fields=fields, mask=absent)

    def _list(self, node: Node, found: Sequence[list[Raw] | None], lines: Sequence[int]) -> pa.Array:
        offsets: list[int | None] = []
        inner: list[Raw] = []
        owners: list[int] = []
        for values, line in zip(found, lines, strict=True):
            offsets.append(None if values is None else len(inner))
            if values:
                inner += values
                owners += [line] * len(values)
        offsets.append(len(inner))
        array = self._array(node, inner, owners)
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), array)

    def _leaf(self, node: Node, values: Sequence[Raw], lines: Sequence[int]) -> pa.Array:
        path = node.path
        array = pa.array(values, pa.string())
        form = self._said.times.get(path)
        type_ = self._said.types.get(path) or self._type(path)
        if type_ == "VARCHAR" and form is None:
            return array
        trimmed = pc.utf8_trim_whitespace(array)
        trimmed = pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)
        self._session.register("_leaf", pa.table({"v": trimmed}))
        sql = f"SELECT {texts.conversion('v', type_, form)} AS v FROM _leaf"
        made = texts.answer(self._session, sql, self._key, form or type_).column("v").combine_chunks()
        self._session.unregister("_leaf")
        if made.null_count > trimmed.null_count:
            place = pc.indices_nonzero(pc.and_(trimmed.is_valid(), made.is_null()))[0].as_py()
            what = f"in the form {form}" if form else f"of type {type_}"
            raise DataError(
                f"The record at line {lines[place]} of {self._key} holds a value at {path!r} that is not {what}",
                remedy=f"Read it as text: types={{{path!r}: 'VARCHAR'}}",
            )
        return made

    @property
    def paths(self) -> Collection[str]:
        """All that was met, and the texts of what has members."""
        found = {node.path: None for node in self._nodes}
        texts_of = [f"{node.path}/{TEXT}" for node in self._nodes if node.members and node.plain]
        return [*found, *texts_of] or [_VALUE]

    def _type(self, path: str) -> str:
        """Return the type of all texts at a path; of personal ones the text itself is protected."""
        if path.replace("/", ".").lower() in self._said.texts:
            return "VARCHAR"
        return self._evidence.type(self._key_of(path))

    def _key_of(self, path: str) -> str:
        """Return the path of the element whose text it is: it may have members in one record and none in another."""
        if path == TEXT or (path == _VALUE and not self.root.members):
            return ""
        return path.removesuffix(f"/{TEXT}")


def _under(value: Any, name: str, own: str) -> list[Raw] | None:
    """Return what stands under a name; a text is its own member."""
    if value is None:
        return None
    if isinstance(value, str):
        return [value] if name == own and (value.strip() or own == _VALUE) else None
    found: list[Raw] | None = value.get(name)
    return found
