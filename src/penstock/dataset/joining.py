"""Point-in-time joins: for each sample the features as they were known at its moment, as SQL.

A feature row is usable from the later of its event and of the moment at which we came to know it. Of all
rows usable at a sample's moment the one with the newest event counts; among equal events the one known last; among
full ties the one with the greatest hash, so that neither threads nor the order of input decide. A row can only ever be
that one if its event is the newest among all rows usable no later than it: a running maximum finds those in one sort,
and one ASOF join on ``usable`` does the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from penstock import names
from penstock.errors import ConfigurationError
from penstock.model.specs import FeatureSpec
from penstock.names import unknown
from penstock.queries.text import identifier
from penstock.schema import MOMENTS
from penstock.values import dataclass

AT = "_penstock_at"
"""The moment of a sample, in UTC."""
PLACE = "_penstock_place"
"""The number of a sample, from 0, in the order of splits and within them."""
INTERNAL = frozenset({names.LOAD, names.ORDER, names.CREATED, names.UPDATED, names.INTERVAL})
_NUMBERS = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "FLOAT",
    "DOUBLE",
)


@dataclass(frozen=True, slots=True)
class Taken:
    """One feature column of the result: its name and the column of the feature table it comes from."""

    name: str
    column: str


@dataclass(frozen=True, slots=True)
class Join:
    """One point-in-time join, checked against the columns that are there.

    Attributes:
        spec: The declaration, names as the tables spell them.
        keys: Label column and feature column, pair by pair.
        taken: The feature columns.
        known_at: Name of the column that says from which moment the taken row was usable.
        event: SQL of the event's moment.
        usable: SQL of the moment from which a row is usable.
        tie: SQL of the moment at which the row became known, for rows of one event.
        parts: What is hashed of ``c0`` … to choose among full ties.
    """

    spec: FeatureSpec
    keys: tuple[tuple[str, str], ...]
    taken: tuple[Taken, ...]
    known_at: str
    event: str
    usable: str
    tie: str
    parts: tuple[str, ...]


def resolve(spec: FeatureSpec, samples: Mapping[str, str], columns: Mapping[str, str], *, where: str) -> Join:
    """Check a declared join against the columns of both tables.

    Args:
        spec: The declaration.
        samples: Column to DuckDB type, of the table of samples.
        columns: Column to DuckDB type, of the table of features.
        where: What it belongs to, for messages.

    Raises:
        ConfigurationError: A column is missing, a key has another kind of type, a time is no time.
    """
    where = f"{where}, features of {spec.table!r}"
    keys = []
    for key in spec.on:
        left, right = find(key, samples, where=where), find(key, columns, where=where)
        if _family(samples[left]) != _family(columns[right]):
            raise ConfigurationError(
                f"The key {key!r} has different types in the samples and in {spec.table!r} ({where})",
                value=f"{samples[left]} and {columns[right]}",
                remedy="Cast one of them in a transform",
            )
        keys.append((left, right))
    if not keys:
        raise ConfigurationError(f"A feature join needs at least one key ({where})", remedy='Add on="COLUMN"')
    event_column = find(spec.event_time, columns, where=where)
    event = moment(event_column, columns[event_column], late=True, where=where)
    known_column = find(spec.known_at, columns, where=where) if spec.known_at else None
    if known_column is not None:
        known = moment(known_column, columns[known_column], late=True, where=where)
    else:
        known = f"({event} + {_duration(spec.available_after)})" if spec.available_after else event
    times = {event_column, known_column, *(right for _, right in keys)}
    chosen = [find(column, columns, where=where) for column in spec.columns] or [
        column for column in columns if column not in times and column.lower() not in INTERNAL
    ]
    prefix = f"{spec.table}_" if spec.prefix is None else spec.prefix
    return Join(
        spec=spec,
        keys=tuple(keys),
        taken=tuple(Taken(prefix + column, column) for column in chosen),
        known_at=f"{prefix}known_at",
        event=event,
        usable=f"greatest({event}, {known})",
        tie=known,
        parts=tuple(_hashed(number, columns[column]) for number, column in enumerate(chosen)),
    )


def find(name: str, columns: Mapping[str, str], *, where: str) -> str:
    """Return a column as the table spells it; raises ConfigurationError with the nearest name."""
    for column in columns:
        if column.lower() == name.lower():
            return column
    raise unknown("column", name, columns, where=where)


def moment(column: str, type_: str, *, late: bool, where: str) -> str:
    """Return SQL for a column as a TIMESTAMPTZ; times without a zone are UTC.

    Args:
        column: The column.
        type_: Its DuckDB type.
        late: Round nanoseconds up (of features, which may not seem earlier than they are), not down.
        where: What it belongs to, for messages.
    """
    if type_ not in MOMENTS:
        raise ConfigurationError(
            f"The column {column!r} cannot be used as a time ({where})", value=type_, valid=MOMENTS
        )
    if type_ != "TIMESTAMP_NS":
        return f"CAST({identifier(column)} AS TIMESTAMPTZ)"
    # a cast rounds to the nearest microsecond, by which a feature would seem to come before its sample
    nanos = f"epoch_ns({identifier(column)})"
    rest = f"(({nanos} % 1000 + 1000) % 1000)"
    carry = f" + CAST({rest} > 0 AS BIGINT)" if late else ""
    return f"CAST(make_timestamp(({nanos} - {rest}) // 1000{carry}) AS TIMESTAMPTZ)"


def candidates(join: Join, number: int, relation: str, samples: str) -> str:
    """Return the query of the rows of a feature table that some sample could use.

    Args:
        join: The join.
        number: Its place, which names the keys in the table of samples.
        relation: The feature table, as SQL that stands in a FROM clause.
        samples: The table of the samples: rows of other keys, or usable only after all samples, are left out early.

    Returns:
        Columns ``k0`` …, ``usable``, ``event``, ``known``, ``tie``, ``c0`` … .
    """
    keys = ", ".join(f"{identifier(right)} AS k{place}" for place, (_, right) in enumerate(join.keys))
    columns = "".join(f", {identifier(taken.column)} AS c{place}" for place, taken in enumerate(join.taken))
    present = " AND ".join(f"{identifier(right)} IS NOT NULL" for _, right in join.keys)
    tie = f"hash({', '.join(join.parts)})" if join.parts else "0"
    return (
        f"SELECT *, {tie} AS tie FROM ("
        f"SELECT {keys}, {join.usable} AS usable, {join.event} AS event, {join.tie} AS known{columns} "
        f"FROM {relation} WHERE {present} AND {join.event} IS NOT NULL AND {join.tie} IS NOT NULL) AS f "
        f"SEMI JOIN {samples} AS s ON {_equal(join, number, 'f')} WHERE usable <= (SELECT max({AT}) FROM {samples})"
    )


def usable_rows(join: Join, found: str) -> str:
    """Return the query of the candidates that can be an answer: one for each key and moment.

    It carries no feature, so that what is sorted does not grow with the width of a row.

    Args:
        join: The join.
        found: The table of the candidates.

    Returns:
        Columns ``k0`` …, ``usable``, ``event`` and ``r``, the row of the candidate.
    """
    keys = ", ".join(f"k{place}" for place in range(len(join.keys)))
    return (
        f"SELECT {keys}, usable, event, r FROM ("
        f"SELECT {keys}, usable, event, r, lead(usable) OVER w AS following, max(event) OVER w AS newest "
        f"FROM (SELECT {keys}, usable, event, known, tie, rowid AS r FROM {found}) "
        f"WINDOW w AS (PARTITION BY {keys} ORDER BY usable, event, known, tie "
        f"ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)) "
        f"WHERE event = newest AND (following IS NULL OR following > usable)"
    )


def matches(join: Join, number: int, found: str, samples: str) -> str:
    """Return the query of the candidate of each sample that has one; what is too old at its moment counts as none.

    Args:
        join: The join.
        number: Its place, which names the keys in the table of samples.
        found: The table of the candidates.
        samples: The table of the samples.

    Returns:
        Columns ``PLACE`` of the sample, ``usable`` and ``r`` of the candidate.
    """
    age = join.spec.expires_after
    fresh = "" if age is None else f" WHERE epoch_us(s.{AT}) - epoch_us(u.event) < {_microseconds(age)}"
    return (
        f"SELECT s.{PLACE}, u.usable, u.r FROM {samples} AS s ASOF JOIN ({usable_rows(join, found)}) AS u "
        f"ON {_equal(join, number, 'u')} AND s.{AT} >= u.usable{fresh}"
    )


def widened(join: Join, found: str, matched: str, samples: str) -> str:
    """Return the query of the samples with the features of their candidates; each sample stays one row.

    Args:
        join: The join.
        found: The table of the candidates.
        matched: The table of the matches.
        samples: The table of the samples.
    """
    columns = [f"c.c{place} AS {identifier(taken.name)}" for place, taken in enumerate(join.taken)]
    columns.append(f"m.usable AS {identifier(join.known_at)}")
    names_only = ", ".join(f"f.{identifier(name)}" for name in (*(taken.name for taken in join.taken), join.known_at))
    return (
        f"SELECT s.*, {names_only} FROM {samples} AS s LEFT JOIN ("
        f"SELECT m.{PLACE}, {', '.join(columns)} FROM {matched} AS m JOIN {found} AS c ON c.rowid = m.r"
        f") AS f ON s.{PLACE} = f.{PLACE}"
    )


def unusable_count(join: Join, relation: str) -> str:
    """Return the query that counts the feature rows that can never be joined: a key or a time is null."""
    absent = " OR ".join(f"{identifier(right)} IS NULL" for _, right in join.keys)
    return f"SELECT count(*) FROM {relation} WHERE {absent} OR {join.event} IS NULL OR {join.tie} IS NULL"


def _equal(join: Join, number: int, alias: str) -> str:
    return " AND ".join(f"s.{identifier(key(number, place))} = {alias}.k{place}" for place in range(len(join.keys)))


def key(number: int, place: int) -> str:
    """Return the name under which the samples carry a key of the ``number``-th join."""
    return f"_penstock_{number}_{place}"


def is_number(type_: str) -> bool:
    """Say whether a DuckDB type is a number."""
    return type_ in _NUMBERS or type_.startswith("DECIMAL")


def _hashed(number: int, type_: str) -> str:
    # 0.0 and -0.0 have one hash, but are written differently
    return f"c{number}, signbit(c{number})" if type_ in ("FLOAT", "DOUBLE") else f"c{number}"


def _family(type_: str) -> str:
    if is_number(type_):
        return "number"
    if type_.startswith("ENUM("):
        return "VARCHAR"
    return type_


def _duration(length: timedelta) -> str:
    return f"to_microseconds({_microseconds(length)})"


def _microseconds(length: timedelta) -> int:
    return length // timedelta(microseconds=1)
