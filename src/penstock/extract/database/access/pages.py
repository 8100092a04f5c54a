"""The file format of Microsoft Access from 2000 on (Jet 4 and ACE): pages, definitions of tables, and their rows.

A file is pages of 4096 bytes, told apart by their first byte. A definition of a table names its columns and the pages
that hold its rows. In a row stand the values of fixed length, then the others, then where each of these begins, and a
bit for each column that says whether it has a value. Long texts and objects stand in pages of their own. What is read
here is what the files hold; no line of it asks for Access itself.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from penstock.errors import ConfigurationError, DataError
from penstock.values import dataclass

PAGE = 4096
_CATALOG_PAGE = 2
_DATA, _DEFINITION, _USAGE = 1, 2, 5
_OTHERS = (2, 3, 4, 5)
_DELETED, _ELSEWHERE, _WITHIN = 0x8000, 0x4000, 0x1FFF
_FIXED, _CALCULATED = 0x01, 0xC0
_HEADER_KEY = bytes((0xC7, 0xDA, 0x39, 0x6B))
_OLDEST = 1
_INLINE, _ONE_PAGE, _LENGTH = 0x80000000, 0x40000000, 0x3FFFFFFF
_TABLE, _LINKED = 1, (4, 6)
_SYSTEM = 0x80000002
_LARGEST_DEFINITION = 2**20
"""Far more than 255 columns take; the pages of a larger one run in a circle."""
_MOST_HOPS = 2**20
"""More parts than a value of 2 GiB has: the chain runs in a circle."""

BOOLEAN, TEXT, OBJECT, MEMO = 1, 10, 11, 12


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a table.

    Attributes:
        name: Its name.
        type: The number of its type.
        number: Its bit among those that say which columns have values.
        fixed: Where it stands in the part of fixed length; None for one of variable length.
        place: Its place among the columns of variable length.
        length: Bytes that it takes in the part of fixed length.
        precision: Digits of a decimal.
        scale: Digits behind its point.
        calculated: True where Access computes it from the others.
    """

    name: str
    type: int
    number: int
    fixed: int | None
    place: int
    length: int
    precision: int = 0
    scale: int = 0
    calculated: bool = False


@dataclass(frozen=True, slots=True)
class Definition:
    """A table: the page of its definition, its columns in their order, its primary key, its rows and its pages."""

    name: str
    page: int
    fields: tuple[Field, ...]
    key: tuple[str, ...]
    rows: int
    pages: tuple[int, ...]


class AccessPages:
    """A file that is open for reading.

    Raises:
        ConfigurationError: It is of Access 97 or older, or encrypted.
        DataError: It is no file of Access, or it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb")
        try:
            self._check()
        except BaseException:
            self.close()
            raise

    def tables(self) -> dict[str, int]:
        """Return the user's tables: name to the page of its definition; -1 for one that is linked from elsewhere."""
        catalog = self.definition("MSysObjects", _CATALOG_PAGE)
        wanted = {field.name: field for field in catalog.fields}
        found = {}
        try:
            for rows in self.rows(catalog, PAGE * 64):
                columns = (cells(rows, wanted[name]) for name in ("Id", "Name", "Type", "Flags"))
                for page, name, kind, flags in zip(*columns, strict=True):
                    type_ = _number(kind)
                    if name is not None and not _number(flags) & _SYSTEM and type_ in (_TABLE, *_LINKED):
                        found[text(name)] = _number(page) & 0xFFFFFF if type_ == _TABLE else -1
        except (struct.error, LookupError, UnicodeDecodeError) as error:
            raise self._damaged("the list of tables") from error
        return found

    def definition(self, name: str, page: int) -> Definition:
        """Return the table whose definition begins on a page."""
        data = self._page(page, _DEFINITION, name)
        following = struct.unpack_from("<I", data, 4)[0]
        while following and len(data) < _LARGEST_DEFINITION:
            more = self._page(following, _DEFINITION, name)
            following = struct.unpack_from("<I", more, 4)[0]
            data += more[8:]
        try:
            return self._parsed(name, page, data)
        except (struct.error, LookupError, UnicodeDecodeError) as error:
            raise self._damaged(f"the definition of the table {name}") from error

    def rows(self, table: Definition, batch_bytes: int) -> Iterator[list[bytes]]:
        """Yield the rows of a table in the order of its pages, some pages at a time, as they stand in the file."""
        held: list[bytes] = []
        size = 0
        for page in table.pages:
            rows = self._page_rows(page, table)
            held += rows
            size += sum(map(len, rows))
            if size >= batch_bytes:
                yield held
                held, size = [], 0
        if held:
            yield held

    def long_value(self, cell: bytes, where: str) -> bytes:
        """Return a long text or an object, given what stands for it in its row."""
        head, place = struct.unpack_from("<II", cell)
        length = head & _LENGTH
        if head & _INLINE:
            return cell[12 : 12 + length]
        if head & _ONE_PAGE:
            return self._part(place, where)[:length]
        parts, size = [], 0
        for _ in range(_MOST_HOPS):
            if not place or size >= length:
                break
            part = self._part(place, where)
            place = struct.unpack_from("<I", part)[0]
            parts.append(part[4:])
            size += len(part) - 4
        if size < length:
            raise self._damaged(f"a long value of {where}")
        return b"".join(parts)[:length]

    def stamp(self) -> tuple[int, int]:
        """Return size and time of change of the file."""
        found = self.path.stat()
        return found.st_size, found.st_mtime_ns

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _check(self) -> None:
        head = self._file.read(PAGE)
        if len(head) < PAGE or head[:4] != b"\x00\x01\x00\x00" or not head[4:12].startswith((b"Standard", b"MSISAM D")):
            raise DataError(
                f"{self.path} is no file of Access",
                remedy="Name an .mdb or .accdb file; of one that Access itself refuses, restore a copy",
            )
        if head[20] < _OLDEST:
            raise ConfigurationError(
                f"{self.path} is of Access 97 or older",
                valid="files of Access 2000 and later",
                remedy="Open it in a newer Access and save it as .accdb",
            )
        if any(_decoded(head[24:152])[0x3E - 24 : 0x42 - 24]):
            raise ConfigurationError(
                f"{self.path} is encrypted with a password, and is not read",
                remedy="In Access take the password off a copy (File, Info, Decrypt Database), and read that",
            )

    def _page(self, number: int, kind: int, what: str) -> bytes:
        # Several threads may read at once: none moves a place that they share.
        data = os.pread(self._file.fileno(), PAGE, number * PAGE)
        if len(data) < PAGE or data[0] != kind:
            raise self._damaged(f"page {number} of {what}")
        return data

    def _parsed(self, name: str, page: int, data: bytes) -> Definition:
        rows, columns = struct.unpack_from("<I", data, 16)[0], struct.unpack_from("<H", data, 45)[0]
        logical, real, owned = struct.unpack_from("<III", data, 47)
        at = 63 + 12 * real
        heads = [data[at + 25 * place : at + 25 * (place + 1)] for place in range(columns)]
        at += 25 * columns
        names, at = _names(data, at, columns)
        fields = {head: _field(head, called) for head, called in zip(heads, names, strict=True)}
        by_number = {field.number: field.name for field in fields.values()}
        key = _key(data, at, (logical, real), by_number)
        shown = sorted(fields, key=lambda head: struct.unpack_from("<H", head, 9)[0])
        return Definition(name, page, tuple(fields[head] for head in shown), key, rows, tuple(self._used(owned, name)))

    def _used(self, place: int, name: str) -> Iterator[int]:
        """Yield the pages that a map of used pages names; it stands in a row of another page."""
        found = self._part(place, name)
        if found[0] == 0:
            yield from _set_bits(found[5:], struct.unpack_from("<I", found, 1)[0])
            return
        for number, (page,) in enumerate(struct.iter_unpack("<I", found[1 : 1 + (len(found) - 1) // 4 * 4])):
            if page:
                yield from _set_bits(self._page(page, _USAGE, name)[4:], number * (PAGE - 4) * 8)

    def _page_rows(self, number: int, table: Definition) -> list[bytes]:
        data = os.pread(self._file.fileno(), PAGE, number * PAGE)
        if len(data) < PAGE or data[0] not in (_DATA, *_OTHERS):
            raise self._damaged(f"page {number} of {table.name}")
        if data[0] != _DATA or struct.unpack_from("<I", data, 4)[0] != table.page:
            # Maps name pages of indexes and of long values as well.
            return []
        try:
            count = struct.unpack_from("<H", data, 12)[0]
            return [row for row in (self._row(data, place, table.name) for place in range(count)) if row]
        except (struct.error, IndexError) as error:
            raise self._damaged(f"page {number} of {table.name}") from error

    def _part(self, place: int, what: str) -> bytes:
        data = self._page(place >> 8, _DATA, what)
        try:
            return _cut(data, place & 0xFF)[1]
        except (struct.error, IndexError) as error:
            raise self._damaged(f"page {place >> 8} of {what}") from error

    def _row(self, data: bytes, number: int, what: str) -> bytes:
        flags, row = _cut(data, number)
        if flags & _DELETED:
            return b""
        for _ in range(8):
            if not flags & _ELSEWHERE:
                return row
            place = struct.unpack_from("<I", row)[0]
            flags, row = _cut(self._page(place >> 8, _DATA, what), place & 0xFF)
        raise self._damaged(f"a row of {what}")

    def _damaged(self, what: str) -> DataError:
        return DataError(
            f"{self.path} is damaged: {what} cannot be read",
            remedy="Repair a copy in Access (Database Tools, Compact and Repair), and read that",
        )


def cells(rows: Sequence[bytes], field: Field) -> list[bytes | None]:
    """Return the bytes of a column, row by row; of a column of yes and no a byte that is 1 or 0."""
    found: list[bytes | None] = []
    byte, bit = field.number >> 3, 1 << (field.number & 7)
    for row in rows:
        columns = row[0] | row[1] << 8
        mask = len(row) - (columns + 7 >> 3)
        there = field.number < columns and row[mask + byte] & bit
        if field.type == BOOLEAN:
            found.append(b"\x01" if there else b"\x00")
        elif not there:
            found.append(None)
        elif field.fixed is not None:
            found.append(row[2 + field.fixed : 2 + field.fixed + field.length])
        else:
            at = mask - 4 - 2 * field.place
            begin, end = struct.unpack_from("<H", row, at)[0], struct.unpack_from("<H", row, at - 2)[0]
            found.append(row[begin:end])
    return found


def text(data: bytes) -> str:
    """Return a text: UTF-16, or in parts squeezed to a byte for each letter; a zero byte leads from one to the other.

    Raises:
        UnicodeDecodeError: Half of a surrogate pair.
    """
    if data[:2] != b"\xff\xfe":
        return data[: len(data) & ~1].decode("utf-16-le")
    parts = data[2:].split(b"\x00")
    wide = (part.decode("latin-1").encode("utf-16-le") if not place & 1 else part for place, part in enumerate(parts))
    return b"".join(wide).decode("utf-16-le")


def _field(head: bytes, name: str) -> Field:
    number, place = struct.unpack_from("<HH", head, 5)
    fixed, length = struct.unpack_from("<HH", head, 21)
    return Field(
        name,
        head[0],
        number,
        fixed if head[15] & _FIXED else None,
        place,
        length,
        head[11],
        head[12],
        calculated=head[16] & _CALCULATED == _CALCULATED,
    )


def _names(data: bytes, at: int, count: int) -> tuple[list[str], int]:
    found = []
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        found.append(data[at + 2 : at + 2 + length].decode("utf-16-le"))
        at += 2 + length
    return found, at


def _key(data: bytes, at: int, counts: tuple[int, int], names: dict[int, str]) -> tuple[str, ...]:
    """Return the columns of the primary key, given where the indexes begin and how many there are."""
    logical, real = counts
    for place in range(logical):
        entry = at + 52 * real + 28 * place
        if data[entry + 23] == 1:
            (number,) = struct.unpack_from("<I", data, entry + 8)
            parts = struct.iter_unpack("<HB", data[at + 52 * number + 4 : at + 52 * number + 34])
            return tuple(names[column] for column, _ in parts if column != 0xFFFF)
    return ()


def _cut(data: bytes, number: int) -> tuple[int, bytes]:
    """Return the flags and the bytes of a row of a page; rows stand from the end of the page on."""
    (start,) = struct.unpack_from("<H", data, 14 + 2 * number)
    end = struct.unpack_from("<H", data, 12 + 2 * number)[0] & _WITHIN if number else PAGE
    return start, data[start & _WITHIN : end]


def _set_bits(data: bytes, first: int) -> Iterator[int]:
    for place, byte in enumerate(data):
        if byte:
            yield from (first + 8 * place + bit for bit in range(8) if byte >> bit & 1)


def _number(cell: bytes | None) -> int:
    return 0 if cell is None else int.from_bytes(cell, "little", signed=True)


def _decoded(data: bytes) -> bytes:
    """Return a part of the head, which all files scramble with one key (RC4)."""
    state = list(range(256))
    swap = 0
    for place in range(256):
        swap = (swap + state[place] + _HEADER_KEY[place % 4]) & 255
        state[place], state[swap] = state[swap], state[place]
    found = bytearray()
    one = two = 0
    for byte in data:
        one = (one + 1) & 255
        two = (two + state[one]) & 255
        state[one], state[two] = state[two], state[one]
        found.append(byte ^ state[(state[one] + state[two]) & 255])
    return bytes(found)
