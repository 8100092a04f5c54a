"""Where a mistake is made: a day's batch of a table, what is known of it, and the dice that draw place and size."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import duckdb

from benchmarks.mistakes.table import Table

Drawn: TypeAlias = str | tuple[str, ...]
"""A quoted column, or several that belong together."""

FEWEST, MOST = 0.02, 0.3
"""How large a share of the rows a mistake in a part of them hits."""


UNITS = {
    "temperature": ("celsius", "fahrenheit"),
    "length": ("length",),
    "money": ("money",),
    "speed": ("speed",),
}
"""Kind of a measured number to the units that a table may declare for it."""


def quoted(name: str) -> str:
    """Return a column's name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


@dataclass(frozen=True, slots=True)
class Column:
    """What a batch has in a column; the last three are of numbers alone."""

    type: str
    values: int
    distinct: int
    negative: int = 0
    fractional: int = 0
    greatest: float = 0.0


class Site:
    """A batch to be hurt, as tables ``batch`` and ``yesterday`` of a connection.

    Kinds of columns that can be needed: ``number``, ``fraction`` (a number with decimals),
    ``signed``, ``large`` (more than a byte holds), ``gapped`` (a number with gaps), ``temperature``, ``length``,
    ``money``, ``speed``, ``category``, ``text``, ``phrase`` (a text with blanks), ``wording`` (any text), ``moment``,
    ``key`` (all its columns), ``code`` (a key or reference that is a text), ``reference``, ``place`` (latitude and
    longitude), ``bounded`` (two numbers, the first at most the second), ``total`` (a number that follows from others),
    ``redundant`` (one that repeats a part of another), ``dependent`` (a code, and a column that follows from it).
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, table: Table, dice: random.Random) -> None:
        self.connection = connection
        self.table = table
        self.dice = dice
        self._candidates: dict[str, Sequence[Drawn]] = {}

    @cached_property
    def rows(self) -> int:
        """How many rows the batch has."""
        return self.counted("TRUE")

    @cached_property
    def columns(self) -> Mapping[str, Column]:
        """Quoted name to what the batch has there, in the order of the batch."""
        described = self._asked("DESCRIBE batch")
        figures, types = [], {quoted(name): type_ for name, type_, *_ in described}
        for name, type_ in types.items():
            figures += [f"count({name})", f"count(DISTINCT {name})"]
            if type_ in {"BIGINT", "DOUBLE"}:
                figures += [
                    f"count(*) FILTER ({condition})" for condition in (f"{name} < 0", f"{name} <> floor({name})")
                ]
                figures.append(f"coalesce(max({name}), 0)")
            else:
                figures += ["0"] * 3
        (found,) = self._asked(f"SELECT {', '.join(figures)} FROM batch")
        return {name: _column(type_, found[5 * n : 5 * n + 5]) for n, (name, type_) in enumerate(types.items())}

    def candidates(self, need: str) -> Sequence[Drawn]:
        """Return the columns of a kind, in the order of the table's declaration.

        Raises:
            KeyError: There is no such kind.
        """
        if need not in self._candidates:
            self._candidates[need] = self._found(need)
        return self._candidates[need]

    def _found(self, need: str) -> Sequence[Drawn]:
        table, columns = self.table, self.columns
        numbers = [name for name in map(quoted, table.numbers) if columns[name].distinct >= 4]
        if need in UNITS:
            return [name for name in numbers if table.units.get(name.strip('"')) in UNITS[need]]
        codes = dict.fromkeys(map(quoted, (*table.key, *table.references)))
        kinds: dict[str, Callable[[], Sequence[Drawn]]] = {
            "number": lambda: numbers,
            "fraction": lambda: [name for name in numbers if columns[name].fractional],
            "signed": lambda: [name for name in numbers if columns[name].negative >= 0.01 * self.rows],
            "large": lambda: [
                name
                for name in numbers
                if not columns[name].fractional and self.counted(f"{name} > 255") >= FEWEST * self.rows
            ],
            "gapped": lambda: [name for name in numbers if 0.005 < 1 - columns[name].values / self.rows < 0.98],
            "category": lambda: self._varied(table.categories),
            "text": lambda: self._varied(table.texts),
            "phrase": lambda: [name for name in self._varied(table.texts) if self.counted(f"{name} LIKE '% %'")],
            "wording": lambda: [name for name in self._varied(self.columns) if columns[name].type == "VARCHAR"],
            "moment": lambda: [quoted(table.moment)] if table.moment else [],
            "key": lambda: [_all(table.key)] if table.key else [],
            "code": lambda: [name for name in codes if columns[name].type == "VARCHAR"],
            "reference": lambda: self._varied(table.references),
            "place": lambda: [_all(table.place)] if table.place else [],
            "bounded": lambda: [pair for pair in map(_all, table.bounded) if self.counted(f"{pair[0]} < {pair[1]}")],
            "total": lambda: [quoted(name) for name in table.totals],
            "redundant": lambda: [quoted(name) for name in table.redundant],
            "dependent": lambda: [_all(pair) for pair in table.dependent],
        }
        return kinds[need]()

    def _varied(self, names: Iterable[str]) -> Sequence[str]:
        """Return the columns that have two values or more, quoted."""
        found = (name if name in self.columns else quoted(name) for name in names)
        return [name for name in found if self.columns[name].distinct >= 2]

    def draw(self, need: str, other_than: Sequence[Drawn] = ()) -> Drawn:
        """Draw a column of a kind.

        Raises:
            LookupError: The batch has none, or no other.
        """
        left = [found for found in self.candidates(need) if found not in other_than]
        if not left:
            raise LookupError(f"{self.table.name} has no {need} left to draw")
        return self.dice.choice(left)

    def between(self, low: float, high: float) -> float:
        """Draw a number, to three places."""
        return round(self.dice.uniform(low, high), 3)

    def counted(self, condition: str) -> int:
        """Return how many rows of the batch meet a condition."""
        ((count,),) = self._asked(f"SELECT count(*) FILTER ({condition}) FROM batch")
        return int(count)

    def varies(self, column: str, where: str) -> bool:
        """Say whether the rows of a condition have two values or more in a column."""
        ((count,),) = self._asked(f"SELECT count(DISTINCT {column}) FROM batch WHERE {where}")
        return int(count) > 1

    def some(self, condition: str = "TRUE", fewest: float = FEWEST, most: float = MOST) -> str:
        """Return a condition that a drawn share of the rows of a condition meets: one row at least."""
        count = max(1, round(self.between(fewest, most) * self.counted(condition)))
        return f"rowid IN (SELECT rowid FROM batch WHERE {condition} ORDER BY {self.shuffled()}, rowid LIMIT {count})"

    def shuffled(self) -> str:
        """Return what to order rows by, for an order drawn by the dice."""
        return f"md5(concat(rowid, '/', {self.dice.getrandbits(40)}))"

    def since(self, low: float = 0.2, high: float = 0.7) -> str:
        """Return a condition for the rows from a drawn place on."""
        return f"rowid >= {round(self.between(low, high) * self.rows)}"

    def value(self, column: str, least: float = 0.03, most: float = 0.9) -> str:
        """Draw a value of the column that a share of the rows between two has, else the commonest; as SQL writes it."""
        counted = self._asked(
            f"SELECT CAST({column} AS VARCHAR) AS value, count(*) AS times FROM batch WHERE {column} IS NOT NULL "
            "GROUP BY value ORDER BY times DESC, value"
        )
        fit = [value for value, times in counted if least <= times / self.rows <= most]
        return f"CAST({literal(self.dice.choice(fit or [counted[0][0]]))} AS {self.columns[column].type})"

    def group(self, having: str = "TRUE") -> str:
        """Return a condition for the rows of one value of a category, both drawn.

        Args:
            having: What some of its rows meet. Where none do, or the table has no category, the condition is for the
                rows from a drawn place on.
        """
        if self.candidates("category"):
            category = str(self.draw("category"))
            found = f"{category} = {self.value(category, 0.05, 0.6)}"
            if self.counted(f"{found} AND {having}"):
                return found
        return self.since()

    def spread(self, number: str) -> str:
        """Return the standard deviation of a number in the batch, as SQL; 1 where it has none."""
        return f"(SELECT coalesce(nullif(stddev_samp({number}), 0), 1) FROM batch)"

    def step(self, number: str, spreads: float) -> str:
        """Return so many standard deviations as SQL; 1 at least for a whole number, that it changes at all."""
        step = f"({spreads} * {self.spread(number)})"
        return step if self.columns[number].fractional else f"greatest(1, {step})"

    def moved(self, column: str, order: str) -> str:
        """Return the SELECT that gives each row the value of another row: of the one at its place in another order."""
        return (
            f"SELECT batch.* EXCLUDE (place) REPLACE (other.value AS {column}) FROM (SELECT *, "
            "row_number() OVER (ORDER BY rowid) AS place FROM batch) AS batch "
            f"JOIN (SELECT {column} AS value, row_number() OVER (ORDER BY {order}, rowid) AS place FROM batch) "
            "AS other USING (place) ORDER BY place"
        )

    def setting(self, changes: Mapping[str, str], where: str = "TRUE") -> str:
        """Return the SELECT that sets columns to expressions in the rows of a condition, their types kept."""
        replaced = (
            f"CASE WHEN {where} THEN CAST({expression} AS {self.columns[name].type}) ELSE {name} END AS {name}"
            for name, expression in changes.items()
        )
        return f"SELECT * REPLACE ({', '.join(replaced)}) FROM batch"

    def writing(self, column: str, expression: str, where: str = "TRUE") -> str:
        """Return the SELECT that writes texts into a column in the rows of a condition; it comes to be of texts."""
        text = f"CASE WHEN {where} THEN {expression} ELSE CAST({column} AS VARCHAR) END"
        return f"SELECT * REPLACE ({text} AS {column}) FROM batch"

    def only(self, condition: str) -> str:
        """Return the SELECT of the rows of a condition, in their order."""
        return f"SELECT * FROM batch WHERE {condition} ORDER BY rowid"

    def _asked(self, select: str) -> list[tuple[Any, ...]]:
        # To the end: what is left unread would block the connection.
        return self.connection.execute(select).fetchall()


def _column(type_: str, found: Sequence[float]) -> Column:
    values, distinct, negative, fractional = map(int, found[:4])
    return Column(type_, values, distinct, negative, fractional, float(found[4]))


def _all(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(quoted, names))
