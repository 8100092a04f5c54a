"""The shield of one table: SQL that protects the personal values of a column while DuckDB reads it.

Tokens and ciphertexts are made by functions of the process that DuckDB calls a vector at a time; the key stands in no
SQL, no variable of the engine and no query plan.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from typing import Any

import duckdb
from duckdb.func import PythonUDFType

from penstock.errors import DataError
from penstock.model.specs import Protection
from penstock.privacy.canonical import bytes_of, mask_of
from penstock.privacy.keys import Keys
from penstock.privacy.values import Protect, encrypter, missing_key, tokeniser
from penstock.queries.text import identifier, literal
from penstock.schema import Type, parse, spell
from penstock.values import dataclass

_KEYED = (Protection.TOKENISE, Protection.ENCRYPT)


@dataclass(frozen=True, slots=True)
class Shielded:
    """A column behind the shield.

    Attributes:
        expression: SQL that gives its protected values.
        type: Their DuckDB type.
        missing: Dotted paths that were named as personal and are not in it.
    """

    expression: str
    type: str
    missing: tuple[str, ...] = ()


class Shield:
    """What is personal of one table, and how it is protected.

    Args:
        table: The source, for messages.
        personal: Column, or dotted path to a field, to the protection; letters are compared without their case.
        keys: The keys; None where the project names none.

    Raises:
        ConfigurationError: There is no key, and one is needed.
        MissingExtraError: The library of encryption is not installed.
    """

    def __init__(self, table: str, personal: Mapping[str, str], keys: Keys | None) -> None:
        self._table = table
        self._keys = keys
        self._rules: dict[str, _Rules] = {}
        for path, how in personal.items():
            column, _, rest = path.partition(".")
            self._rules.setdefault(column.lower(), _Rules(column)).paths[rest] = Protection(how)
        self._functions = _functions(table, personal, keys)
        self._names: dict[str, str] = {}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns with personal values, as they were named."""
        return tuple(rules.column for rules in self._rules.values())

    def mark(self, column: str) -> str | None:
        """Return how a column is marked in a schema; None for one that is not personal."""
        rules = self._rules.get(_plain(column, self._rules))
        if rules is None:
            return None
        marks = {path: self._marked(how) for path, how in sorted(rules.paths.items())}
        return marks.get("") or ", ".join(f"{path}: {mark}" for path, mark in marks.items())

    @contextmanager
    def raised(self, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Make the functions known to the engine for as long as rows are read by this connection."""
        if not self._functions:
            yield
            return
        # A connection of its own, since one with an unread result takes no functions; all of an engine share them.
        with connection.cursor() as beside:
            for name, function in self._functions.items():
                # Two tables may be landed at once.
                self._names[name] = f"penstock_{name}_{secrets.token_hex(4)}"
                beside.create_function(
                    self._names[name], _vector(function), ["BLOB"], "VARCHAR", type=PythonUDFType.ARROW
                )
            try:
                yield
            finally:
                for known in self._names.values():
                    beside.remove_function(known)
                self._names.clear()

    def shielded(self, column: str, expression: str, type_: str) -> Shielded:
        """Return a column as it may be written; one that is not personal as it came.

        Args:
            column: Its name at the source.
            expression: SQL that gives it.
            type_: Its DuckDB type.

        Raises:
            DataError: A path leads into a value that has no fields.
        """
        rules = self._rules.get(_plain(column, self._rules))
        if rules is None:
            return Shielded(expression, type_)
        if "" in rules.paths:
            return Shielded(self._protected(expression, type_, rules.paths[""]), "VARCHAR")
        try:
            whole = parse(type_)
        except ValueError:
            raise self._pathless(column, type_) from None
        missing: list[str] = []
        made, shape = self._within(_Place(expression, whole, column), rules.paths, missing)
        return Shielded(made, spell(shape), tuple(missing))

    def _marked(self, how: Protection) -> str:
        return f"{how.value} (key {self._keys.name})" if how in _KEYED and self._keys else how.value

    def _protected(self, expression: str, type_: str, how: Protection) -> str:
        if how is Protection.NULL or type_ in ("NULL", '"NULL"'):
            return "CAST(NULL AS VARCHAR)"
        if how is Protection.MASK:
            return mask_of(expression, type_)
        name = "encrypt_bytes" if how is Protection.ENCRYPT and type_ == "BLOB" else how.value
        return f"{self._names[name]}({bytes_of(expression, type_)})"

    def _within(self, place: _Place, paths: Mapping[str, Protection], missing: list[str]) -> tuple[str, Type]:
        """Return SQL and type of a nested value with the fields at the paths protected."""
        type_ = place.type
        if "" in paths:
            return self._protected(place.expression, spell(type_), paths[""]), Type("VARCHAR")
        if type_.name == "NULL":
            return place.expression, type_
        if type_.name in ("LIST", "ARRAY"):
            element = f"_element{place.depth}"
            inner = _Place(element, type_.members[0][1], place.path, place.depth + 1)
            made, shape = self._within(inner, paths, missing)
            listed = f"list_transform({place.expression}, lambda {element}: {made})"
            return listed, Type("LIST", "", (("element", shape),))
        if type_.name != "STRUCT":
            raise self._pathless(place.path, spell(type_))
        below: dict[str, dict[str, Protection]] = {}
        for path, how in paths.items():
            first, _, rest = path.partition(".")
            below.setdefault(first.lower(), {})[rest] = how
        parts, members = [], []
        for name, member in type_.members:
            made, shape = f"struct_extract({place.expression}, {literal(name)})", member
            if wanted := below.pop(_plain(name, below), None):
                inner = _Place(made, member, f"{place.path}.{name}", place.depth)
                made, shape = self._within(inner, wanted, missing)
            parts.append(f"{identifier(name)} := {made}")
            members.append((name, shape))
        missing += [f"{place.path}.{name}" for name in below]
        packed = f"struct_pack({', '.join(parts)})"
        return f"CASE WHEN {place.expression} IS NOT NULL THEN {packed} END", Type("STRUCT", "", tuple(members))

    def _pathless(self, path: str, type_: str) -> DataError:
        return DataError(
            f"{path!r} of source {self._table!r} has no fields, and some were named as personal within it",
            value=type_[:80],
            remedy=f"Name it as a whole: personal=[{path!r}]",
        )


@dataclass(slots=True)
class _Rules:
    """What is personal of one column: path within it (empty: the whole) to protection."""

    column: str
    paths: dict[str, Protection] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Place:
    """A value within a nested one."""

    expression: str
    type: Type
    path: str
    depth: int = 0


def _functions(table: str, personal: Mapping[str, str], keys: Keys | None) -> dict[str, Protect]:
    needed = {Protection(how) for how in personal.values()} & set(_KEYED)
    if not needed:
        return {}
    if keys is None:
        raise missing_key(f"To protect the personal columns of {table}")
    functions = {}
    if Protection.TOKENISE in needed:
        functions[Protection.TOKENISE.value] = tokeniser(keys)
    if Protection.ENCRYPT in needed:
        functions[Protection.ENCRYPT.value] = encrypter(keys, of_bytes=False)
        functions["encrypt_bytes"] = encrypter(keys, of_bytes=True)
    return functions


def _vector(function: Protect) -> Callable[..., Any]:
    """Return a function over Arrow arrays; each distinct value is protected once."""

    # DuckDB looks up the names of annotations, before whatever they are of is imported.
    def apply(values: Any) -> Any:
        import pyarrow as pa

        whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        encoded = whole.dictionary_encode()
        made = [None if value is None else function(value) for value in encoded.dictionary.to_pylist()]
        return pa.array(made, pa.string()).take(encoded.indices)

    return apply


def _plain(column: str, known: Mapping[str, object]) -> str:
    """Return a name in lower case, without the number that a repeat of a personal column's name gets."""
    name = column.lower()
    stem = name.rstrip("0123456789").rstrip("_")
    return stem if name not in known and stem != name and stem in known and name[len(stem)] == "_" else name
