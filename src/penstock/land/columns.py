"""The columns of a load: which stored name and type each incoming column gets, and by which conversion.

The table's columns win: what comes in is converted to them where not one value is lost, else refused. Among the
batches of one load, types widen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from penstock.errors import DataError
from penstock.land.types import NUMBERS, grown, lacks, widest
from penstock.model.entries import Column
from penstock.model.specs import SourceSpec
from penstock.names import LOAD, stored_names, unknown
from penstock.queries.text import identifier, literal
from penstock.schema import Type, landed, parse, spell, storage, store
from penstock.stores.parquet import LOSSY


@dataclass(frozen=True, slots=True)
class Incoming:
    """A column as it comes: name at the source, DuckDB type, SQL that gives it, type at the source, personal mark."""

    name: str
    type: str
    expression: str
    source_type: str | None = None
    personal: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """How rows of one shape are written.

    Attributes:
        columns: The columns of the file, in its order.
        select: The SQL expression of each, already in its stored type.
        plain: Of each the incoming column that it is, unchanged; None where it is converted.
    """

    columns: tuple[Column, ...]
    select: tuple[str, ...]
    plain: tuple[str | None, ...]

    def query(self, relation: str, taken: Sequence[bool] | None = None, *, number: int | None = None) -> str:
        """Return the SELECT over a relation.

        Args:
            relation: What stands after FROM.
            taken: Which columns; None takes all.
            number: The load's number, which becomes the last column; None leaves it out.
        """
        parts = [
            f"{expression} AS {identifier(column.name)}"
            for column, expression, take in zip(
                self.columns, self.select, taken or [True] * len(self.columns), strict=True
            )
            if take
        ]
        if number is not None:
            parts.append(f"CAST({number} AS BIGINT) AS {LOAD}")
        return f"SELECT {', '.join(parts)} FROM {relation}"


class Columns:
    """The columns of one load while it is being landed.

    Args:
        table: The lake table, for messages.
        prior: The columns of the table so far; empty for a new table.
    """

    def __init__(self, table: str, prior: Sequence[Column]) -> None:
        self._table = table
        self._prior = {source_name(column): column for column in prior}
        self._new: dict[str, Column] = {}
        self._met: set[str] = set()
        self._notes: dict[str, None] = {}

    def plan(self, incoming: Sequence[Incoming]) -> Plan:
        """Decide how rows of one shape are written; remembers new columns and widens their types.

        Raises:
            DataError: A column's type is at odds with the table's, or with that of an earlier batch.
        """
        found = self._matched(incoming)
        self._learn(found)
        columns, select, plain = [], [], []
        for name, column in self._prior.items():
            came = found.get(name)
            columns.append(column)
            select.append(self._converted(came, column) if came else f"CAST(NULL AS {column.stored or column.type})")
            plain.append(_unchanged(came, column))
        for name, column in self._new.items():
            came = found.get(name)
            if came is not None:
                columns.append(column)
                select.append(self._converted(came, column))
                plain.append(_unchanged(came, column))
        return Plan(tuple(columns), tuple(select), tuple(plain))

    def schema(self) -> tuple[Column, ...]:
        """Return the columns of the table after the load."""
        return (*self._prior.values(), *(_typed(column) for column in self._new.values()))

    @property
    def met(self) -> frozenset[str]:
        """The columns that the source gave, by their names there; the others of the table are null in the new rows."""
        return frozenset(self._met)

    def notes(self) -> tuple[str, ...]:
        """Return sentences about columns that appeared, vanished or were converted."""
        vanished = [name for name in self._prior if name not in self._met]
        said = list(self._notes)
        if self._met and vanished:
            said.append(f"{self._table}: the source no longer gives {_listed(vanished)}; null in the new rows")
        if self._prior and self._new:
            said.append(f"{self._table}: new {_listed(self._new)}")
        return tuple(said)

    def verify(self, source: SourceSpec) -> None:
        """Refuse rows that lack a column by which the source is keyed or read on; where none came, nothing is said.

        Raises:
            ConfigurationError: The table never had such a column.
            DataError: The source gives it no longer.
        """
        met = {name.lower() for name in self._met}
        uses = [*((name, "key") for name in source.key), *([(source.cursor, "cursor")] if source.cursor else [])]
        if source.deletes is not None and source.deletes.column is not None:
            uses.append((source.deletes.column, "deletes"))
        for name, use in uses if met else ():
            if name.lower() in met:
                continue
            if name.lower() in {known.lower() for known in self._prior}:
                raise DataError(
                    f"The source of {self._table} no longer gives the column {name!r}, its {use}",
                    remedy=f"Mend the source, or name another {use}",
                )
            raise unknown("column", name, self._met, where=f"{use} of source {source.table!r}")

    def settled(self, column: Column) -> Column:
        """Return a column of a file as the whole load has it now."""
        name = source_name(column)
        return self._prior[name] if name in self._prior else _typed(self._new[name])

    def _matched(self, incoming: Sequence[Incoming]) -> dict[str, Incoming]:
        """Key incoming columns by the name under which the table knows them; case alone makes no new column."""
        known = {**self._prior, **self._new}
        exact = {column.name for column in incoming}
        free = _folded(name for name in known if name not in exact)
        strange = _folded(column.name for column in incoming if column.name not in known)
        found: dict[str, Incoming] = {}
        for column in incoming:
            folded = column.name.lower()
            alone = column.name not in known and len(strange[folded]) == 1 and len(free.get(folded, ())) == 1
            found[free[folded][0] if alone else column.name] = column
        return found

    def _learn(self, found: dict[str, Incoming]) -> None:
        self._met.update(found)
        fresh = [name for name in found if name not in self._prior and name not in self._new]
        stored = stored_names([*self._prior, *self._new, *fresh]) if fresh else {}
        for name, came in found.items():
            if name in self._prior:
                self._grow(name, came)
                continue
            if name in fresh:
                named = stored[name]
                source = None if named == name else name
                self._new[name] = _stored(
                    Column(
                        name=named,
                        type=came.type,
                        source_name=source,
                        source_type=came.source_type,
                        personal=came.personal,
                    )
                )
                continue
            known = self._new[name]
            wider = widest(known.type, came.type)
            if wider is None:
                raise DataError(
                    f"The column {name!r} of {self._table} came as {known.type} and then as {came.type} in one load",
                    remedy="Cast it to one type in the source's query, or mend the source",
                )
            self._new[name] = _stored(replace(known, type=wider))

    def _grow(self, name: str, came: Incoming) -> None:
        """Take over the members of a nested type that the table's column has not yet."""
        known = self._prior[name]
        wider = grown(known.type, came.type)
        if wider is not None:
            self._prior[name] = _typed(_stored(replace(known, type=wider)))
            self._notes[f"{self._table}: {name!r} has new members"] = None

    def _converted(self, came: Incoming, column: Column) -> str:
        wanted = _typed(column).type
        if wanted == "VARCHAR" and came.type not in ("VARCHAR", "JSON", _NULL):
            said = f"{self._table}: {column.name!r} came as {came.type} and is kept as text, which it was before"
            zeros = "; leading zeros may be lost where the source guessed its type" if came.type in NUMBERS else ""
            self._notes[said + zeros] = None
        return store(convert(came.expression, came.type, wanted, column.name, self._table), wanted)


def incoming(name: str, type_: str, expression: str, source_type: str | None = None) -> Incoming:
    """Return a column as it comes, in the type that it is landed as."""
    kept = landed(type_)
    if kept == type_:
        return Incoming(name, type_, expression, source_type)
    # The labels of an enumeration are data, and may be personal.
    told = "ENUM" if "ENUM(" in type_ else type_
    return Incoming(name, kept, f"CAST({expression} AS {kept})", source_type or told)


def convert(expression: str, type_: str, wanted: str, column: str, table: str) -> str:
    """Return SQL that turns an expression into another type, and stops at the first value that would change.

    Raises:
        DataError: If no value of the one type is one of the other.
    """
    if type_ == wanted:
        return expression
    if type_ == _NULL:
        return f"CAST(NULL AS {wanted})"
    wider = widest(type_, wanted)
    text = "VARCHAR" in (type_, wanted) and not any(mark in type_ + wanted for mark in ("STRUCT(", "MAP(", "[", "BLOB"))
    if wider is None and not text:
        raise DataError(
            f"The column {column!r} of {table} changed its type: it was {wanted} and now comes as {type_}",
            remedy="Mend the source, cast the column in the source's query, or give it another name there",
        )
    if wider is not None and lacks(type_, wanted):
        return f"CAST({expression} AS {wanted})"
    back = f"CAST(TRY_CAST({expression} AS {wanted}) AS {type_})"
    return (
        f"CASE WHEN {expression} IS NULL THEN NULL WHEN {back} IS NOT DISTINCT FROM {expression} "
        f"THEN TRY_CAST({expression} AS {wanted}) "
        f"ELSE error({literal(f'{LOSSY}{column}')}) END"
    )


@contextmanager
def sentences(table: str, columns: Sequence[Column]) -> Iterator[None]:
    """Name the column where a conversion stopped at a value that would be lost; other errors pass as they are."""
    try:
        yield
    except DataError as error:
        _, marked, name = str(error.__cause__).partition(LOSSY)
        if not marked:
            raise
        name = name.splitlines()[0]
        type_ = next((column.type for column in columns if column.name == name), "the table's type")
        raise DataError(
            f"The column {name!r} of {table} holds a value that is no {type_}, the type it has so far",
            remedy="Mend the source, cast the column in the source's query, or give it another name there",
        ) from error.__cause__


def source_name(column: Column) -> str:
    """Return a column's name at its source."""
    return column.name if column.source_name is None else column.source_name


_NULL = '"NULL"'


def _unchanged(came: Incoming | None, column: Column) -> str | None:
    # What is personal never passes by its expression.
    if came is None or came.personal is not None or came.type != column.type or column.stored is not None:
        return None
    return came.name


def _stored(column: Column) -> Column:
    how = storage(column.type)
    return replace(column, stored=how.stored if how else None)


def _typed(column: Column) -> Column:
    """What held nothing but nulls is text until it gets a type: a column, or the elements of empty lists."""
    if "NULL" not in column.type:
        return column
    try:
        return _stored(replace(column, type=spell(_text(parse(column.type)))))
    except ValueError:
        return column


def _text(type_: Type) -> Type:
    if type_.name == "NULL":
        return Type("VARCHAR")
    return replace(type_, members=tuple((name, _text(member)) for name, member in type_.members))


def _folded(names: Iterable[str]) -> dict[str, list[str]]:
    folded: dict[str, list[str]] = {}
    for name in names:
        folded.setdefault(name.lower(), []).append(name)
    return folded


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    shown = ", ".join(repr(name) for name in listed[:8])
    more = f" and {len(listed) - 8} more" if len(listed) > 8 else ""
    return f"column{'s' if len(listed) > 1 else ''} {shown}{more}"
