"""The recent loads of a table, as one relation with the number of the load beside each row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property
from statistics import median
from typing import Any

import duckdb

from penstock.model.interval import Interval
from penstock.queries.text import identifier, identifiers, literal
from penstock.schema import MOMENTS
from penstock.suggest.suggestion import rounded
from penstock.values import dataclass

LOAD = "_penstock_number"
"""The place of the load among the recent ones, from 0."""
PLACE = "_penstock_place"
"""The place of the row in its load, from 0."""
STARTS = "_penstock_start"
"""Where the interval of the load begins; null where it has none."""
START = "CAST(:interval_start AS TIMESTAMP)"
"""The same, as a check writes it."""
_PARTS = ("year", "quarter", "month", "week", "day", "dayofyear", "isodow", "dayofweek", "hour", "minute", "second")
_WIDEST = 150
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT")
_TOLERATED, _FEW_ROWS = 0.02, 2
LEVELS = 12
"""So few numbers are levels, whatever lies between them."""
AHEAD, _RISK = 30, 0.5
"""So many loads are to come, in which so many rows that break a rule are expected at most."""
_OFTEN = 10
"""A value that came in fewer loads is a rare one, beside which there may be others."""
ALWAYS, _MAIN = 5, 0.1
"""What came so often at the least in every load, and was so large a part of it, is not missing by chance."""
FEW, FEW_TEXTS = 60, 150
"""So many different values are a list to choose from: numbers, and texts."""


@dataclass(frozen=True)
class Recent:
    """Rows of the recent loads.

    Attributes:
        connection: Where they are.
        relation: Their name in SQL: the columns of the table, ``LOAD``, ``PLACE`` and ``STARTS``.
        table: The table, as a pipeline calls it.
        columns: Column to type, without those of which no value may be looked at.
        hidden: The columns of which no value may be looked at: personal ones.
        loads: How many loads there are.
        intervals: The interval that each of them covers, None where it is of none.
        related: Other tables by name, as SQL of a FROM clause.
        landed: Whether the loads have an order of landing; results of transforms have none.
        learned: What one rule found and others ask for, by a name.
    """

    connection: duckdb.DuckDBPyConnection = field(repr=False)
    relation: str
    table: str
    columns: Mapping[str, str]
    loads: int
    hidden: tuple[str, ...] = ()
    intervals: Sequence[Interval | None] = ()
    related: Mapping[str, str] = field(default_factory=dict)
    landed: bool = True
    learned: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def interval(self) -> Interval | None:
        """The interval that the newest load covers, if they are of intervals."""
        return self.intervals[-1] if self.intervals else None

    def first(self, loads: int) -> Recent:
        """Return the first loads alone, as they stood before the others came."""
        earlier = f"(SELECT * FROM {self.relation} WHERE {LOAD} < {loads})"
        return replace(self, relation=earlier, loads=loads, intervals=self.intervals[:loads], learned={})

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        return self.connection.execute(query).fetchall()

    def whole(self, aggregates: Mapping[Any, str], relation: str | None = None) -> dict[Any, Any]:
        """Return aggregates over all rows by their keys."""
        found: dict[Any, Any] = {}
        for part in _parts(list(aggregates)):
            listed = ", ".join(aggregates[key] for key in part)
            found |= dict(zip(part, self.ask(f"SELECT {listed} FROM {relation or self.relation}")[0], strict=True))
        return found

    def by_load(self, aggregates: Mapping[Any, str], relation: str | None = None) -> dict[Any, list[Any]]:
        """Return aggregates over the rows of each load by their keys, oldest load first.

        Args:
            aggregates: Key to SQL.
            relation: SQL of a FROM clause that has the column ``LOAD``; default: the rows.
        """
        found: dict[Any, list[Any]] = {}
        for part in _parts(list(aggregates)):
            listed = ", ".join(aggregates[key] for key in part)
            rows = self.ask(f"SELECT {LOAD}, {listed} FROM {relation or self.relation} GROUP BY 1")
            by_number = {row[0]: row[1:] for row in rows}
            nothing = (None,) * len(part)
            listed_rows = [by_number.get(number, nothing) for number in range(self.loads)]
            found |= {key: [row[place] for row in listed_rows] for place, key in enumerate(part)}
        return found

    def of_type(self, *kinds: str) -> list[str]:
        """Return the columns of a kind: ``whole``, ``real``, ``text``, ``moment``; constant ones too."""
        return [name for name, type_ in self.columns.items() if kind_of(type_) in kinds]

    @cached_property
    def rows(self) -> list[int]:
        """The number of rows of each load."""
        return [int(count or 0) for count in self.by_load({"rows": "count(*)"})["rows"]]

    @cached_property
    def typical(self) -> float:
        """How many rows a load has, in the middle; 1 at least."""
        return max(1.0, float(median(self.rows))) if self.rows else 1.0

    @property
    def much(self) -> float:
        """How many rows, had in every load, are not missing by chance."""
        return max(ALWAYS, _MAIN * self.typical)

    @cached_property
    def tolerated(self) -> float:
        """The share of the rows of a load that may be otherwise one day, though none was: a few rows at least."""
        return rounded(max(_TOLERATED, _FEW_ROWS / self.typical), 3, up=True)

    @cached_property
    def rare(self) -> int:
        """How many rows of a load may be what never was: two where that is little, else one.

        What never was in so many loads comes in one of the next ones by the rule of succession, and hardly twice there.
        """
        return _FEW_ROWS if self.typical * _TOLERATED >= _FEW_ROWS else 1

    def seldom(self, share: float) -> float | int:
        """Return a share that may be otherwise, or the few rows of a load that are more."""
        return share if share * self.typical > self.rare else self.rare

    @cached_property
    def nulls(self) -> dict[str, int]:
        """How many nulls a column has in all loads."""
        return self.whole({name: f"count(*) - count({identifier(name)})" for name in self.columns})

    @cached_property
    def distinct(self) -> dict[str, int]:
        """How many different values a column has in all loads."""
        asked = {name: f"count(DISTINCT {identifier(name)})" for name in self.columns}
        # Each holds all values of its column.
        return {name: self.whole({name: sql})[name] for name, sql in asked.items()}

    @cached_property
    def numbers(self) -> list[str]:
        """The columns of numbers that have two different values or more, and are no part of a date."""
        numbers = self.of_type("whole", "real")
        return [
            name
            for name in numbers
            if self.distinct[name] > 1 and name not in (*self.calendar, *self.clocks, *self.serials)
        ]

    @cached_property
    def spread(self) -> list[str]:
        """The numbers of which the middle half is not all one value: means of others are those of a few rows."""
        shares = {
            side: f"quantile_cont({{0}}, {share}) FILTER (isfinite({{0}}))"
            for side, share in (("q1", 0.25), ("q3", 0.75))
        }
        asked = {(name, side): sql.format(identifier(name)) for name in self.numbers for side, sql in shares.items()}
        found = self.whole(asked)
        return [name for name in self.numbers if found[name, "q1"] != found[name, "q3"]]

    @cached_property
    def serials(self) -> list[str]:
        """Whole numbers that name a row: no two rows of all loads have the same one, or each load goes on counting."""
        rows, names = sum(self.rows), self.of_type("whole")
        ends = self.by_load(
            {(name, end): f"{end}({identifier(name)})" for name in names for end in ("min", "max")}
            | {"rows": "count(*)"}
        )
        found = []
        for name in names:
            lows, highs = ([value for value in ends[name, end] if value is not None] for end in ("min", "max"))
            on = len(lows) > 2 and all(low > high for low, high in zip(lows[1:], highs, strict=False))
            if (
                not self.nulls[name]
                and rows > 1
                and (self.distinct[name] == rows or (on and self.distinct[name] > rows / 2))
            ):
                found.append(name)
        return found

    @cached_property
    def key(self) -> list[str]:
        """The fewest columns, without any that could be left out, that tell the rows of each load apart."""
        full = [name for name in self.columns if not self.nulls[name] and self.distinct[name] > 1]
        # What measures is left out first: it tells rows apart by chance.
        kinds = {
            name: place for place, kind in enumerate(("real", "whole", "moment", "text")) for name in self.of_type(kind)
        }
        kinds |= dict.fromkeys(self.serials, len(kinds))
        left = sorted((name for name in full if name in kinds), key=lambda name: (kinds[name], -full.index(name)))
        for listed in (left, [name for name in self.columns if self.distinct[name] > 1]):
            if not listed or not self._apart(listed):
                continue
            kept = list(listed)
            for name in listed:
                fewer = [other for other in kept if other != name]
                if fewer and self._apart(fewer):
                    kept = fewer
            return [name for name in self.columns if name in kept]
        return []

    def _apart(self, names: Sequence[str]) -> bool:
        """Say whether no two rows of a load are alike in some columns."""
        repeated = f"SELECT 1 FROM {self.relation} GROUP BY {LOAD}, {identifiers(names)} HAVING count(*) > 1"
        return not self.ask(f"SELECT count(*) FROM ({repeated})")[0][0]

    @cached_property
    def calendar(self) -> dict[str, tuple[str, str]]:
        """Whole numbers that are a part of a moment: the part, and the moment as SQL writes it."""
        sources = {identifier(name): identifier(name) for name in self.of_type("moment", "date")}
        if self.interval is not None:
            sources[START] = STARTS
        found = {}
        for name in self.of_type("whole"):
            if not self.distinct[name] or not sources:
                continue
            wrong = self.whole(
                {
                    (shown, part): f"count_if({identifier(name)} <> {part}({sql}))"
                    for shown, sql in sources.items()
                    for part in _PARTS
                }
            )
            agreeing = [(part, shown) for (shown, part), count in wrong.items() if count == 0]
            if agreeing:
                found[name] = agreeing[0]
        return found

    @cached_property
    def clocks(self) -> dict[str, tuple[str, int]]:
        """Whole numbers that are the hour of a moment in another zone: the moment, and by how many hours east."""
        found = {}
        for name in self.of_type("whole"):
            if name in self.calendar or self.distinct[name] <= 6 or self.distinct[name] > 24:
                continue
            for moment in self.of_type("moment"):
                apart = f"({identifier(name)} - hour({identifier(moment)}) + 48) % 24"
                query = f"SELECT DISTINCT {apart} FROM {self.relation} WHERE {identifier(name)} IS NOT NULL LIMIT 2"
                hours = self.ask(query)
                if len(hours) == 1 and hours[0][0]:
                    found[name] = (moment, int(hours[0][0]))
        return found

    @cached_property
    def values(self) -> dict[str, list[Any]]:
        """The values of columns that have few, most frequent first."""
        found = {}
        for name in self.columns:
            if 0 < self.distinct[name] <= (FEW_TEXTS if kind_of(self.columns[name]) == "text" else FEW):
                query = f"SELECT {identifier(name)} FROM {self.relation} WHERE {identifier(name)} IS NOT NULL "
                found[name] = [value for (value,) in self.ask(query + "GROUP BY 1 ORDER BY count(*) DESC, 1")]
        return found

    @cached_property
    def settled(self) -> dict[str, bool]:
        """Whether a column had no value in the later half of the loads that it had not had in the earlier one."""
        half = self.loads // 2
        first = self.by_value
        return {name: all(load < half for load in loads) for name, loads in first.items()}

    def closed(self, name: str, loads: int = _OFTEN) -> bool:
        """Say whether a column with few values has all it will ever have: each came early, and in several loads."""
        if name not in self.settled or not self.settled[name]:
            return False
        column = identifier(name)
        seen = (
            f"SELECT count(DISTINCT {LOAD}) AS loads FROM {self.relation} WHERE {column} IS NOT NULL GROUP BY {column}"
        )
        return bool(self.ask(f"SELECT min(loads) >= {min(loads, self.loads)} FROM ({seen})")[0][0])

    @cached_property
    def open(self) -> set[str]:
        """The columns of texts of which a new one may break what all so far have kept, in the loads to come.

        Good and Turing: of the rows to come, so large a share has a value that never was as so far have one that was
        once. The rule of three: what none of n values broke, fewer than 3 / n of the others break.
        """
        names = [name for name in self.of_type("text") if self.distinct[name]]
        once = {
            name: f"(SELECT count(*) FROM (SELECT 1 FROM {self.relation} WHERE {identifier(name)} IS NOT NULL "
            f"GROUP BY {identifier(name)} HAVING count(*) = 1))"
            for name in names
        }
        seen = self.whole(once, "(SELECT 1)")
        share = AHEAD / max(1, self.loads)
        return {name for name in names if seen[name] * share * 3 / self.distinct[name] > _RISK}

    @cached_property
    def by_value(self) -> dict[str, list[int]]:
        """The load in which each value of a column with few values came first."""
        found: dict[str, list[int]] = defaultdict(list)
        for name in self.values:
            query = f"SELECT min({LOAD}) FROM {self.relation} WHERE {identifier(name)} IS NOT NULL "
            found[name] = [load for (load,) in self.ask(query + f"GROUP BY {identifier(name)}")]
        return dict(found)

    def categories(self, most: int = 12) -> list[str]:
        """Return the columns of texts with two to so many values that came early and often."""
        return [
            name
            for name in self.of_type("text")
            if name in self.values and 2 <= self.distinct[name] <= most and self.settled[name]
        ]


def new_shares(recent: Recent, name: str) -> list[float | None]:
    """Return the share of the rows of each load whose value no load before had, without the first third."""
    column = identifier(name)
    firsts = f"(SELECT {column} AS value, min({LOAD}) AS first FROM {recent.relation} GROUP BY 1)"
    source = f"(SELECT rows.{LOAD}, first FROM {recent.relation} AS rows JOIN {firsts} ON rows.{column} = value)"
    return recent.by_load({"new": f"count_if(first = {LOAD}) / count(*)"}, source)["new"][recent.loads // 3 :]


def finite(recent: Recent, name: str) -> str:
    """Return the SQL of a number that is null where it is infinite or no number."""
    column = identifier(name)
    return f"CASE WHEN isfinite({column}) THEN {column} END" if kind_of(recent.columns[name]) == "real" else column


def kind_of(type_: str) -> str:
    """Return ``whole``, ``real``, ``text``, ``moment`` or ``other``."""
    if type_ in _WHOLE:
        return "whole"
    if type_ in ("DOUBLE", "FLOAT") or type_.startswith("DECIMAL"):
        return "real"
    if type_ == "VARCHAR":
        return "text"
    return "moment" if type_ in MOMENTS and type_ != "DATE" else "date" if type_ == "DATE" else "other"


def written(value: Any) -> str:
    """Return a value as SQL writes it."""
    return literal(value) if isinstance(value, str) else repr(value)


def _parts(keys: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(keys), _WIDEST):
        yield keys[start : start + _WIDEST]
