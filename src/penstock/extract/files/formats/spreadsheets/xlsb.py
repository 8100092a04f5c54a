"""Binary workbooks of Excel (xlsb): the same parts as xlsx, as records of numbers."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct, error

from penstock.errors import DataError
from penstock.extract.files.formats import markup
from penstock.extract.files.formats.spreadsheets import serials
from penstock.extract.files.formats.spreadsheets.package import Package, PackagedWorkbook
from penstock.extract.files.formats.spreadsheets.workbook import (
    MOST_COLUMNS,
    MOST_ROWS,
    MOST_TEXT,
    Area,
    Fault,
    Row,
    Sheet,
    Value,
    plain,
)

ERRORS = {
    0: "#NULL!", 7: "#DIV/0!", 15: "#VALUE!", 23: "#REF!", 29: "#NAME?", 36: "#NUM!", 42: "#N/A", 43: "#GETTING_DATA",
}  # fmt: skip
"""The error values of Excel by their codes."""
_ROW, _RK, _ERROR, _BOOL, _REAL, _TEXT, _SHARED = 0, 2, 3, 4, 5, 6, 7
_MADE_TEXT, _MADE_REAL, _MADE_BOOL, _MADE_ERROR, _RICH = 8, 9, 10, 11, 62
_ITEM, _FORMAT, _STYLE, _PROPERTIES, _SHEET, _MERGED = 19, 44, 47, 153, 156, 176
_STYLES_BEGIN, _STYLES_END = 617, 618
_CELLS = frozenset((_RK, _ERROR, _BOOL, _REAL, _TEXT, _SHARED, _MADE_TEXT, _MADE_REAL, _MADE_BOOL, _MADE_ERROR, _RICH))
_U16, _U32, _I32, _DOUBLE, _FOUR = Struct("<H"), Struct("<I"), Struct("<i"), Struct("<d"), Struct("<4I")
_CELL = Struct("<II")


class Xlsb(PackagedWorkbook):
    """A workbook; see the port.

    Args:
        package: Its zip file, which it closes.
        main: The name of its main part.
        key: Its name in messages.
    """

    def __init__(self, package: Package, main: str, key: str) -> None:
        super().__init__(package, key)
        self._since_1904 = False
        relations = package.relations(main)
        kinds = dict(relations.values())
        self.sheets = self._listed(main, relations)
        self._texts = self._shared(kinds["sharedStrings"]) if "sharedStrings" in kinds else []
        self._shown = self._styles(kinds["styles"]) if "styles" in kinds else []

    def rows(self, sheet: Sheet) -> Iterator[Row]:
        """Yield the rows that have cells; see the port."""
        row, cells = -1, list[tuple[int, Value]]()
        merged: list[Area] = []
        for kind, data in self._records(sheet.part):
            if kind in _CELLS:
                place, style = _CELL.unpack_from(data)
                if place >= MOST_COLUMNS:
                    raise self._damaged(sheet.part)
                value = self._value(kind, data, style & 0xFFFFFF)
                if value != "":
                    cells.append((place, value))
            elif kind == _ROW:
                if cells:
                    yield row, cells
                    cells = []
                row = _U32.unpack_from(data)[0]
                if row >= MOST_ROWS:
                    raise self._damaged(sheet.part)
            elif kind == _MERGED:
                top, bottom, left, right = _FOUR.unpack_from(data)
                merged.append(Area(top, left, bottom, right))
        if cells:
            yield row, cells
        self._merged[sheet.part] = merged

    def _value(self, kind: int, data: bytes, style: int) -> Value:
        if kind in (_TEXT, _MADE_TEXT):
            return _text(data, 8)[0]
        if kind == _RICH:
            return _text(data, 9)[0]
        if kind == _SHARED:
            place = _U32.unpack_from(data, 8)[0]
            if place >= len(self._texts):
                raise self._damaged("its shared texts")
            return self._texts[int(place)]
        if kind in (_BOOL, _MADE_BOOL):
            return bool(data[8])
        if kind in (_ERROR, _MADE_ERROR):
            return Fault(ERRORS.get(data[8], f"#ERROR {data[8]}"))
        value: float = _short(_U32.unpack_from(data, 8)[0]) if kind == _RK else _DOUBLE.unpack_from(data, 8)[0]
        shown = self._shown[style] if style < len(self._shown) else serials.Shown.NUMBER
        if shown is serials.Shown.NUMBER:
            return plain(value)
        return serials.moment(value, shown, since_1904=self._since_1904)

    def _listed(self, main: str, relations: dict[str, tuple[str, str]]) -> tuple[Sheet, ...]:
        found = []
        for kind, data in self._records(main):
            if kind == _PROPERTIES:
                self._since_1904 = bool(data[0] & 1)
            elif kind == _SHEET:
                id_, after = _text(data, 8)
                name, _ = _text(data, after)
                what, target = relations.get(id_, ("", ""))
                if what == "worksheet":
                    found.append(Sheet(name, _U32.unpack_from(data)[0] != 0, target))
        return tuple(found)

    def _styles(self, part: str) -> list[serials.Shown]:
        codes = dict(serials.BUILT_IN)
        styles: list[serials.Shown] = []
        inside = False
        for kind, data in self._records(part):
            if kind == _FORMAT:
                codes[_U16.unpack_from(data)[0]] = serials.shown(_text(data, 2)[0])
            elif kind in (_STYLES_BEGIN, _STYLES_END):
                inside = kind == _STYLES_BEGIN
            elif kind == _STYLE and inside:
                styles.append(codes.get(_U16.unpack_from(data, 2)[0], serials.Shown.NUMBER))
        return styles

    def _shared(self, part: str) -> list[str]:
        texts: list[str] = []
        size = 0
        for kind, data in self._records(part):
            if kind == _ITEM:
                texts.append(_text(data, 1)[0])
                size += len(texts[-1])
                if size > MOST_TEXT:
                    raise DataError(f"{self._key} holds over {MOST_TEXT:,} characters of shared texts")
        return texts

    def _records(self, part: str) -> Iterator[tuple[int, bytes]]:
        """Yield kind and content of each record of a part.

        Raises:
            DataError: The part is damaged.
        """
        buffer, place = b"", 0
        try:
            with self._package.open(part) as stream:
                while True:
                    kind, after = _head(buffer, place, 2)
                    size, start = _head(buffer, after, 4) if after else (0, 0)
                    if size > markup.LARGEST:
                        raise self._damaged(part)
                    if start and start + size <= len(buffer):
                        yield kind, buffer[start : start + size]
                        place = start + size
                        continue
                    more = stream.read(markup.CHUNK)
                    if not more:
                        if place < len(buffer):
                            raise self._damaged(part)
                        return
                    buffer, place = buffer[place:] + more, 0
        except (error, IndexError, UnicodeDecodeError):
            raise self._damaged(part) from None

    def _damaged(self, part: str) -> DataError:
        return DataError(f"{self._key} is damaged in {part}", remedy="Fetch it anew, or save it as xlsx")


def _head(buffer: bytes, place: int, most: int) -> tuple[int, int]:
    """Return a number of up to ``most`` times seven bits and where it ends; 0 for the end where it is cut off."""
    found = 0
    for step in range(most):
        if place + step >= len(buffer):
            return 0, 0
        byte = buffer[place + step]
        found |= (byte & 0x7F) << (7 * step)
        if not byte & 0x80:
            return found, place + step + 1
    return found, place + most


def _text(data: bytes, place: int) -> tuple[str, int]:
    size = _U32.unpack_from(data, place)[0]
    if size == 0xFFFFFFFF:
        return "", place + 4
    end = place + 4 + 2 * size
    if end > len(data):
        raise IndexError(place)
    return data[place + 4 : end].decode("utf-16-le"), end


def _short(coded: int) -> float:
    """Return a number that is coded by 30 bits: an integer or the upper half of a double, perhaps by the hundred."""
    if coded & 2:
        value = float(_I32.unpack(_U32.pack(coded))[0] >> 2)
    else:
        value = _DOUBLE.unpack(b"\0\0\0\0" + _U32.pack(coded & 0xFFFFFFFC))[0]
    return value / 100 if coded & 1 else value
