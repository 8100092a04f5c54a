"""The columns of a load: which stored name and type each incoming column gets, and by which conversion.

The table's columns win: what comes in is converted to them where not one value is lost. Where a value would be, the
contract decides: the column's type widens, the load is refused, or the value is left out and kept beside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

from penstock.errors import DataError
from penstock.land import discarding
from penstock.model.contracts import Contract, OnChange, Retyped, SchemaChange
from penstock.model.entries import Column
from penstock.model.specs import SourceSpec
from penstock.names import DISCARDED, LOAD, stored_names, unknown
from penstock.queries.mixing import MIXED, mixture, reshaped, stored_otherwise
from penstock.queries.text import identifier
from penstock.queries.widening import NUMBERS, UNTYPED, comparable, convert, fitting, grown, grows, widest
from penstock.schema import landed, parse, storage, store
from penstock.values import dataclass


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
        contract: What they may do.
        landed: The rows were landed before, so that they tell themselves what was left out of them.
    """

    def __init__(
        self, table: str, prior: Sequence[Column], contract: Contract | None = None, *, landed: bool = False
    ) -> None:
        self._table = table
        self._contract = contract or Contract()
        self._before = {column.at_source: column for column in prior if column.name != DISCARDED}
        self._prior = dict(self._before)
        self._new: dict[str, Column] = {}
        self._met: dict[str, int] = {}
        self._rows = 0
        self._aside: dict[str, str] = {}
        self._renamed: dict[str, str] = {}
        self._came: dict[str, Incoming] = {}
        self._unfit: dict[str, str] = {}
        self._keeping = next((column for column in prior if column.name == DISCARDED), None)
        self._notes: dict[str, None] = {}
        self._landed = landed

    def plan(self, incoming: Sequence[Incoming]) -> Plan:
        """Decide how rows of one shape are written; remembers new columns and widens their types.

        Raises:
            DataError: A column's type is at odds with the table's, or with that of an earlier batch; or the contract
                freezes what changed.
        """
        told = next((column.expression for column in incoming if self._landed and column.name == DISCARDED), None)
        found = self._matched([column for column in incoming if told is None or column.name != DISCARDED])
        left_out = self._left_out(found)
        self._learn(found)
        self._came = {}
        columns, select, plain = [], [], []
        misfits: dict[str, tuple[str, str]] = {}
        for name, column in [*self._prior.items(), *self._new.items()]:
            came = found.get(name)
            # A column of nothing but nulls is in no file: whatever type it gets then fits them all.
            if column.type == UNTYPED or (came is None and name in self._new):
                continue
            columns.append(column)
            plain.append(_unchanged(came, column))
            if came is None:
                select.append(f"CAST(NULL AS {column.stored or column.type})")
                continue
            self._came[column.name] = came
            expression, misfit = self._converted(came, name, column)
            select.append(expression)
            if misfit is not None:
                misfits[name] = (came.expression, misfit)
                self._unfit[name] = came.type
        if left_out or misfits or self._keeping:
            came_from = [*left_out.values(), *(found[name] for name in misfits)]
            self._keeping = discarding.marked(self._keeping, [came.personal for came in came_from if came.personal])
            columns.append(self._keeping)
            kept = discarding.kept({name: came.expression for name, came in left_out.items()}, misfits)
            select.append(kept if told is None else f"coalesce({kept}, {told})")
            plain.append(None)
        return Plan(tuple(columns), tuple(select), tuple(plain))

    def remember(self) -> Mapping[str, Any]:
        """Return what is known of the columns now, for ``back_to``."""
        return {name: copy(known) for name, known in vars(self).items()}

    def back_to(self, remembered: Mapping[str, Any]) -> None:
        """Forget what was learned since then: the rows that told it were taken back."""
        vars(self).update(remembered)

    def passed(self, names: Sequence[str], rows: int) -> None:
        """Count rows that came with columns of these names."""
        self._rows += rows
        known = {*self._prior, *self._new}
        folded = _folded(known)
        for name in names:
            if self._landed and name == DISCARDED:
                continue
            alone = folded.get(name.lower(), ())
            key = name if name in known or len(alone) != 1 else alone[0]
            self._met[key] = self._met.get(key, 0) + rows

    def widen(self, stored: str) -> bool:
        """Give a column of the table the wider type that holds the incoming values too; plan again then.

        Args:
            stored: The stored name of a column of the last plan, of which a value did not fit.

        Returns:
            False where the contract forbids it, or no type holds the values of both.
        """
        came = self._came.get(stored)
        for name, column in self._prior.items():
            if column.name != stored or came is None or self._contract.values(name) is not OnChange.EVOLVE:
                continue
            wider = _met(column, came.type)
            if wider is not None and wider.type != column.type:
                self._prior[name] = wider
                return True
        return False

    def misfit(self, stored: str) -> str | None:
        """Return SQL that is true for the values of a column of the last plan that its type cannot hold."""
        came = self._came.get(stored)
        column = next((column for column in self.schema() if column.name == stored), None)
        return None if came is None or column is None else fitting(came.expression, came.type, column.type)[1]

    def schema(self) -> tuple[Column, ...]:
        """Return the columns of the table after the load."""
        kept = (self._keeping,) if self._keeping else ()
        return (*self._prior.values(), *self._new.values(), *kept)

    def whole(self) -> tuple[Column, ...]:
        """Return the columns of the table of which the contract left no value out."""
        kept = (*self._prior.items(), *self._new.items())
        return tuple(column for name, column in kept if name not in self._unfit)

    def table_schema(self) -> tuple[Column, ...] | None:
        """Return the columns that the table had before, as they must be stored now; None where none is stored anew."""
        held = [(old, self._prior[name]) for name, old in self._before.items() if old.type != UNTYPED]
        anew = tuple(old if grows(old.stored or old.type, new.stored or new.type) else new for old, new in held)
        differs = (stored_otherwise(old, new) for (old, _), new in zip(held, anew, strict=True))
        return anew if any(differs) else None

    def change(self, discarded: Mapping[str, Mapping[str, int]] | None = None) -> SchemaChange | None:
        """Return what the columns did; None where the contract is the default one and nothing happened.

        Args:
            discarded: ``columns`` and ``values``: name to how many values were left out.
        """
        found = SchemaChange(
            contract=self._contract,
            added={name: column.type for name, column in self._new.items()} if self._before else {},
            vanished=self._vanished(),
            partial={name: self._rows - rows for name, rows in self._met.items() if rows < self._rows},
            renamed=self._renamed,
            retyped=tuple(
                Retyped(column=name, before=old.type, after=self._prior[name].type)
                for name, old in self._before.items()
                if old.type != self._prior[name].type
            ),
            discarded=discarding.summary(discarded or {}, self._aside, self._unfit),
        )
        return None if found == SchemaChange() else found

    @property
    def met(self) -> frozenset[str]:
        """The columns that the source gave, by their names there; the others of the table are null in the new rows."""
        return frozenset(self._met)

    def notes(self) -> tuple[str, ...]:
        """Return sentences about columns that were converted; ``told`` words what ``change`` says."""
        return tuple(self._notes)

    def verify(self, source: SourceSpec) -> None:
        """Refuse rows that lack a column by which the source is keyed or read on, or that the contract freezes.

        Where none came, nothing is said.

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
        frozen = [name for name in self._vanished() if self._contract.column(name) is OnChange.FREEZE]
        if frozen:
            raise DataError(
                f"The source of {self._table} no longer gives {listed(frozen)}, and the contract freezes the columns",
                remedy=f"Mend the source, or let it go: contract={{'each': {{{frozen[0]!r}: 'evolve'}}}}",
            )

    def settled(self, column: Column) -> Column:
        """Return a column of a file as the whole load has it now."""
        if column.name == DISCARDED:
            return self._keeping or column
        name = column.at_source
        return self._prior[name] if name in self._prior else self._new[name]

    def _vanished(self) -> tuple[str, ...]:
        return tuple(name for name in self._before if name not in self._met) if self._met else ()

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
            if alone:
                self._renamed[free[folded][0]] = column.name
            found[free[folded][0] if alone else column.name] = column
        return found

    def _left_out(self, found: dict[str, Incoming]) -> dict[str, Incoming]:
        """Take the new columns out that the contract keeps from the table, and return them; refuse frozen ones."""
        fresh = [name for name in found if name not in self._prior and name not in self._new] if self._before else []
        frozen = [name for name in fresh if self._contract.column(name) is OnChange.FREEZE]
        if frozen:
            raise DataError(
                f"The source of {self._table} gives {listed(frozen, 'new column')} ({found[frozen[0]].type}), "
                "and the contract freezes the columns",
                remedy=f"Let it in with contract={{'each': {{{frozen[0]!r}: 'evolve'}}}}, "
                "or leave it out with 'discard'",
            )
        left_out = {name: found.pop(name) for name in fresh if self._contract.column(name) is OnChange.DISCARD}
        self._aside |= {
            name: widest(self._aside.get(name, UNTYPED), c.type) or "VARCHAR" for name, c in left_out.items()
        }
        return left_out

    def _learn(self, found: dict[str, Incoming]) -> None:
        for name in found:
            self._met.setdefault(name, 0)
        fresh = [name for name in found if name not in self._prior and name not in self._new]
        stored = stored_names([*self._prior, *self._new, *fresh]) if fresh else {}
        for name, came in found.items():
            declared = self._contract.type(name)
            if name in fresh:
                named = stored[name]
                source = None if named == name else name
                type_ = declared or came.type
                self._new[name] = _stored(
                    Column(
                        name=named,
                        type=type_,
                        source_name=source,
                        source_type=came.source_type,
                        personal=came.personal,
                    )
                )
            elif name in self._prior:
                self._prior[name] = self._typed(name, self._prior[name], came.type, declared)
            elif not declared:
                self._new[name] = self._joined(name, self._new[name], came.type)

    def _typed(self, name: str, column: Column, came: str, declared: str | None) -> Column:
        """Return a column of the table with the type that the contract names, or its first one if it had none yet."""
        if declared is not None:
            convert("x", column.type, declared, name, self._table)
            return column if declared == column.type else _stored(replace(column, type=declared))
        first = widest(column.type, came) if "NULL" in column.type else None
        if first is not None:
            return _stored(replace(column, type=first))
        # New members of a nested value are taken over without writing a file anew, as new columns are.
        if self._contract.values(name) is not OnChange.EVOLVE:
            return column
        wider = grown(column.type, came)
        if wider is None and not comparable(came, column.type):
            return _mixed(column, mixture(column.type, came, hopeful=True)) or column
        return column if wider is None else _stored(replace(column, type=wider))

    def _joined(self, name: str, known: Column, came: str) -> Column:
        """Return a new column with the type that holds what came earlier in the load, and what comes now."""
        evolves = self._contract.values(name) is OnChange.EVOLVE
        met = widest(known.type, came)
        wider = _met(known, came) if evolves else None if met is None else _stored(replace(known, type=met))
        if wider is None and self._contract.values(name) is not OnChange.DISCARD:
            raise DataError(
                f"The column {name!r} of {self._table} came as {known.type} and then as {came} in one load",
                remedy="Cast it to one type in the source's query, mend the source, or give it a type for both: "
                f"contract={{'each': {{{name!r}: 'VARCHAR'}}}}",
            )
        return known if wider is None else wider

    def _converted(self, came: Incoming, name: str, column: Column) -> tuple[str, str | None]:
        """Return the SQL of a column in its stored type, and of which values it leaves out; None where of none."""
        wanted, values = column.type, self._contract.values(name)
        if values is OnChange.DISCARD and came.type != wanted:
            value, misfit = fitting(came.expression, came.type, wanted)
            return store(value, wanted), None if misfit == "false" else misfit
        asked = self._contract.type(name) is not None
        another = came.type != UNTYPED and widest(came.type, wanted) is None
        if values is OnChange.FREEZE and another and not asked and name in self._before:
            raise DataError(
                f"The column {name!r} of {self._table} comes as {came.type}, and the contract freezes its type, "
                f"which is {wanted}",
                remedy="Mend the source, cast the column in the source's query, or change the contract: "
                f"contract={{'each': {{{name!r}: 'evolve'}}}}",
            )
        if wanted == "VARCHAR" and came.type not in ("VARCHAR", "JSON", UNTYPED) and not asked:
            said = f"{self._table}: {column.name!r} came as {came.type} and is kept as text, which it was before"
            zeros = "; leading zeros may be lost where the source guessed its type" if came.type in NUMBERS else ""
            self._notes[said + zeros] = None
        mixed = column.source_type == MIXED
        made = reshaped(came.expression, came.type, wanted, (column.name, self._table), mixed=mixed)
        return store(made, wanted), None


def incoming(name: str, type_: str, expression: str, source_type: str | None = None) -> Incoming:
    """Return a column as it comes, in the type that it is landed as."""
    kept = landed(type_)
    if kept == type_:
        return Incoming(name, type_, expression, source_type)
    # The labels of an enumeration are data, and may be personal.
    told = "ENUM" if "ENUM(" in type_ else type_
    return Incoming(name, kept, f"CAST({expression} AS {kept})", source_type or told)


def listed(names: Iterable[str], what: str = "column") -> str:
    """Return names for a sentence, not too many of them."""
    found = list(names)
    shown = ", ".join(repr(name) for name in found[:8])
    more = f" and {len(found) - 8} more" if len(found) > 8 else ""
    return f"{what}{'s' if len(found) > 1 else ''} {shown}{more}"


def _unchanged(came: Incoming | None, column: Column) -> str | None:
    # What is personal never passes by its expression.
    if came is None or came.personal is not None or came.type != column.type:
        return None
    # JSON is stored as the text that it comes as.
    as_text = column.type == "JSON" and column.source_type != MIXED
    return came.name if column.stored is None or as_text else None


def _met(column: Column, came: str) -> Column | None:
    """Return a column with the type that holds what it has and what comes; None where no type does."""
    if column.source_type == MIXED and mixture(column.type, came) is not None:
        return column
    # A text within a list or an object is no text of JSON.
    within = "JSON" in column.type + came and "JSON" not in (column.type, came)
    wider = None if within else widest(column.type, came)
    return _mixed(column, mixture(column.type, came)) if wider is None else _stored(replace(column, type=wider))


def _mixed(column: Column, type_: str | None) -> Column | None:
    """Return a column with the type of a mixture; one that is JSON remembers that its texts are texts of JSON."""
    if type_ is None or (type_ != "JSON" and parse(type_) == parse(column.type)):
        return None if type_ is None else column
    return _stored(replace(column, type=type_, source_type=MIXED if type_ == "JSON" else column.source_type))


def _stored(column: Column) -> Column:
    how = storage(column.type)
    return replace(column, stored=how.stored if how else None)


def _folded(names: Iterable[str]) -> dict[str, list[str]]:
    folded: dict[str, list[str]] = {}
    for name in names:
        folded.setdefault(name.lower(), []).append(name)
    return folded
