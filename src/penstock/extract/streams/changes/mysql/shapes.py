"""Tables as the binary log describes them before their rows, with the types that a reading of them gives.

With ``binlog_row_metadata = FULL`` such a description is whole: names, signs, character sets, the values of an enum. So
a row is never given the names of another moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa

from penstock.errors import ConfigurationError, DataError
from penstock.extract.database.dialect import DatabaseColumn
from penstock.extract.database.mysql.types import Field, column
from penstock.extract.streams.changes.mysql.wire import HEAD, lengthy
from penstock.schema import SOURCE_TYPE
from penstock.values import dataclass

TINY, SHORT, LONG, FLOAT, DOUBLE, LONGLONG, INT24, DATE, YEAR = 1, 2, 3, 4, 5, 8, 9, 10, 13
VARCHAR, BIT, TIMESTAMP2, DATETIME2, TIME2 = 15, 16, 17, 18, 19
VECTOR, JSON = 242, 245
DECIMAL, ENUM, SET, BLOB, STRING, GEOMETRY = 246, 247, 248, 252, 254, 255
BINARY = 63
"""The collation of bytes."""
_TEXT = 45
_NUMBERS = (TINY, SHORT, LONG, FLOAT, DOUBLE, LONGLONG, INT24, DECIMAL)
CHARACTERS = (VARCHAR, BLOB, STRING)
"""Types whose columns have a collation."""
_META = {FLOAT: 1, DOUBLE: 1, BLOB: 1, GEOMETRY: 1, VARCHAR: 2, BIT: 2, DECIMAL: 2, STRING: 2, ENUM: 2, SET: 2,
         TIME2: 1, DATETIME2: 1, TIMESTAMP2: 1, VECTOR: 1, JSON: 1, 140: 1, 141: 2, 253: 2}  # fmt: skip
_TOLD_AS = {TIMESTAMP2: 7, DATETIME2: 12, TIME2: 11, VARCHAR: 253}
"""Types of the log, and those by which a result of a query calls them."""
_OLD = {7: "timestamp", 11: "time", 12: "datetime"}
_UNSIGNED, _ENUM_FLAG, _SET_FLAG = 32, 256, 2048
_SIGNS, _CHARSET, _CHARSETS, _NAMES, _SETS, _ENUMS = 1, 2, 3, 4, 5, 6
_CHOICE_CHARSET, _CHOICE_CHARSETS = 10, 11


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the log has it.

    Attributes:
        name: Its name.
        type: Its type, by the numbers of the log.
        first: What is said of the type: bytes of a length, digits, digits of a fraction of a second.
        second: The digits behind the point.
        unsigned: A number without a sign.
        collation: That of its characters; ``BINARY`` for bytes.
        choices: The values of an enum or a set.
        declared: The name of a type that the log tells only as bytes: ``uuid``, ``inet4``, ``inet6``.
    """

    name: str
    type: int
    first: int = 0
    second: int = 0
    unsigned: bool = False
    collation: int = BINARY
    choices: tuple[bytes, ...] = ()
    declared: str = ""

    @property
    def prefix(self) -> int:
        """Return how many bytes the length has that stands before a value; 0: it is always as long."""
        if self.type in (BLOB, GEOMETRY, VECTOR, JSON):
            return self.first
        if self.type in (VARCHAR, STRING):
            return 2 if self.first > 255 else 1
        return 0

    @property
    def size(self) -> int:
        """Return how many bytes a value has that is always as long."""
        fixed = {TINY: 1, SHORT: 2, INT24: 3, LONG: 4, LONGLONG: 8, FLOAT: 4, DOUBLE: 8, YEAR: 1, DATE: 3}
        if self.type in fixed:
            return fixed[self.type]
        if self.type in (TIMESTAMP2, DATETIME2, TIME2):
            return {TIMESTAMP2: 4, DATETIME2: 5, TIME2: 3}[self.type] + (self.first + 1) // 2
        if self.type == DECIMAL:
            return digit_bytes(self.first - self.second) + digit_bytes(self.second)
        if self.type == BIT:
            return (self.first + 7) // 8
        return self.first

    def field(self) -> Field:
        """Return it as a result of a query would describe it."""
        flags = _UNSIGNED * self.unsigned + _ENUM_FLAG * (self.type == ENUM) + _SET_FLAG * (self.type == SET)
        if self.type in (ENUM, SET) or self.declared:
            return Field(self.name, STRING, flags, _TEXT, 0, 0)
        length = self.first
        if self.type == DECIMAL:
            length += (self.second > 0) + (not self.unsigned)
        charset = BINARY if self.collation == BINARY else _TEXT
        return Field(self.name, _TOLD_AS.get(self.type, self.type), flags, charset, length, self.second)


@dataclass(frozen=True, slots=True)
class Shape:
    """A table of one shape.

    Attributes:
        table: ``database.table``.
        columns: Its columns, as they stand in a row of the log.
        read: Which of them a reading of the table has, by place.
        planned: How a reading of the table has those.
        fields: Those in Arrow.
    """

    table: str
    columns: tuple[Column, ...]
    read: tuple[int, ...]
    planned: tuple[DatabaseColumn, ...]
    fields: tuple[pa.Field, ...]

    def places(self, names: tuple[str, ...]) -> tuple[int, ...]:
        """Return where some columns stand.

        Raises:
            DataError: One is not there.
        """
        known = {each.name: place for place, each in enumerate(self.columns)}
        for name in names:
            if name not in known:
                raise DataError(
                    f"{self.table} has no column {name!r} any more, which is of the key of its rows",
                    valid=list(known),
                    remedy="Name a key that it has, and another name= for what is read from now on",
                )
        return tuple(known[name] for name in names)


@dataclass(frozen=True, slots=True)
class Now:
    """What only the server says of a table's columns.

    Attributes:
        hidden: Columns that a reading has not.
        declared: Columns of types that the log tells as bytes, with these.
        collated: The types of columns of whose collations it tells.
    """

    hidden: frozenset[str]
    declared: Mapping[str, str]
    collated: tuple[int, ...]


def named(frame: bytes) -> str:
    """Return the table that an event describes, as ``database.table``."""
    at = HEAD + 8
    size = frame[at]
    database = frame[at + 1 : at + 1 + size].decode()
    at += size + 2
    return f"{database}.{frame[at + 1 : at + 1 + frame[at]].decode()}"


def described(frame: bytes, now: Now) -> Shape:
    """Return the table that an event describes.

    Args:
        frame: The event.
        now: What only the server says.

    Raises:
        ConfigurationError: The description is not whole.
    """
    table = named(frame)
    at = HEAD + 8 + 2 + frame[HEAD + 8]
    count, at = lengthy(frame, at + frame[at] + 2)
    types, at = frame[at : at + count], at + count
    size, at = lengthy(frame, at)
    columns = list(_typed(types, frame[at : at + size]))
    columns = _completed(columns, dict(_told(frame, at + size + (count + 7) // 8)), table, now.collated)
    columns = [
        Column(c.name, c.type, c.first, c.second, c.unsigned, c.collation, c.choices, now.declared.get(c.name, ""))
        for c in columns
    ]
    for each in columns:
        _verify(each, table)
    read = tuple(place for place, each in enumerate(columns) if each.name not in now.hidden)
    planned = tuple(column(columns[place].field(), "") for place in read)
    fields = tuple(pa.field(each.name, each.target, metadata={SOURCE_TYPE: each.spelt}) for each in planned)
    return Shape(table, tuple(columns), read, planned, fields)


def digit_bytes(digits: int) -> int:
    """Return how many bytes some digits of a decimal take."""
    return digits // 9 * 4 + (digits % 9 + 1) // 2


def _typed(types: bytes, meta: bytes) -> Iterator[Column]:
    """Yield columns with their types alone."""
    at = 0
    for type_ in types:
        size = _META.get(type_, 0)
        one, two = (*meta[at : at + size], 0, 0)[:2]
        at += size
        if type_ == STRING and (one & 0x30) != 0x30:
            yield Column("", STRING, two | (((one & 0x30) ^ 0x30) << 4))
        elif type_ == STRING:
            yield Column("", one, two)
        elif type_ == VARCHAR:
            yield Column("", VARCHAR, one | two << 8)
        elif type_ == BIT:
            yield Column("", BIT, one + 8 * two)
        else:
            yield Column("", type_, one, two)


def _told(frame: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Yield what else an event tells of its columns, by kind."""
    while at < len(frame):
        kind = frame[at]
        size, at = lengthy(frame, at + 1)
        yield kind, frame[at : at + size]
        at += size


def _completed(columns: list[Column], told: Mapping[int, bytes], table: str, collated: tuple[int, ...]) -> list[Column]:
    """Return columns with all that was told of them."""
    if _NAMES not in told:
        raise ConfigurationError(
            f"The binary log tells the rows of {table} without the names of their columns",
            value="binlog_row_metadata is not FULL",
            remedy="SET GLOBAL binlog_row_metadata = 'FULL', and in the server's settings; what was logged before that "
            "cannot be read: another name= reads the table from the start",
        )
    names = [name.decode() for name in _texts(told[_NAMES])]
    unsigned = _flags(told.get(_SIGNS, b""), [each.type in _NUMBERS for each in columns])
    collations = _collations(told, _CHARSET, _CHARSETS, [each.type in collated for each in columns])
    of_choices = _collations(told, _CHOICE_CHARSET, _CHOICE_CHARSETS, [each.type in (ENUM, SET) for each in columns])
    choices = {ENUM: _lists(told.get(_ENUMS, b"")), SET: _lists(told.get(_SETS, b""))}
    return [
        Column(
            names[place],
            each.type,
            each.first,
            each.second,
            unsigned.get(place, False),
            (collations | of_choices).get(place, BINARY),
            tuple(next(choices[each.type])) if each.type in choices else (),
        )
        for place, each in enumerate(columns)
    ]


def _flags(data: bytes, of: list[bool]) -> dict[int, bool]:
    """Return which of some columns have a bit set, the first one in the highest bit."""
    places = [place for place, is_ in enumerate(of) if is_]
    return {place: bool(data[n // 8] & (0x80 >> n % 8)) for n, place in enumerate(places) if n // 8 < len(data)}


def _collations(told: Mapping[int, bytes], usual: int, each: int, of: list[bool]) -> dict[int, int]:
    """Return the collations of some columns: one for most with exceptions, or one for each."""
    places = [place for place, is_ in enumerate(of) if is_]
    if each in told:
        return dict(zip(places, _numbers(told[each]), strict=True))
    if usual not in told:
        return {}
    default, *pairs = _numbers(told[usual])
    found = dict.fromkeys(places, default)
    found.update({places[at]: collation for at, collation in zip(pairs[::2], pairs[1::2], strict=True)})
    return found


def _numbers(data: bytes) -> list[int]:
    found, at = [], 0
    while at < len(data):
        number, at = lengthy(data, at)
        found.append(number)
    return found


def _texts(data: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(data):
        size, at = lengthy(data, at)
        found.append(data[at : at + size])
        at += size
    return found


def _lists(data: bytes) -> Iterator[list[bytes]]:
    """Yield the values of one column after the other."""
    at = 0
    while at < len(data):
        count, at = lengthy(data, at)
        found = []
        for _ in range(count):
            size, at = lengthy(data, at)
            found.append(data[at : at + size])
            at += size
        yield found


def _verify(each: Column, table: str) -> None:
    if each.type in _OLD:
        raise ConfigurationError(
            f"{table} keeps {each.name} as old servers did, which the log does not tell in full",
            value=_OLD[each.type],
            remedy=f"ALTER TABLE {table} FORCE writes it anew",
        )
    known = (TINY, SHORT, LONG, FLOAT, DOUBLE, LONGLONG, INT24, DATE, YEAR, VARCHAR, BIT, TIMESTAMP2, DATETIME2, TIME2)
    if each.type not in (*known, DECIMAL, ENUM, SET, BLOB, STRING, GEOMETRY, VECTOR, JSON):
        raise ConfigurationError(
            f"{each.name} of {table} is of a type that cannot be read from the binary log",
            value="compressed" if each.type in (140, 141) else f"type {each.type}",
            remedy="Give it a type without that, or read the table by sources.sql",
        )
