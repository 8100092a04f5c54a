"""OpenDocument spreadsheets (ods): one part holds all sheets, and is read as a stream; repeated cells are spelt out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from xml.parsers import expat

from penstock.errors import DataError
from penstock.extract.files.formats import markup
from penstock.extract.files.formats.spreadsheets import serials
from penstock.extract.files.formats.spreadsheets.package import Package, PackagedWorkbook, locked
from penstock.extract.files.formats.spreadsheets.workbook import (
    MOST_COLUMNS,
    MOST_ROWS,
    Area,
    Fault,
    Row,
    Sheet,
    Uncomputed,
    Value,
    number,
)

_PART = "content.xml"
_MOST_REPEATED = 2**26
"""The most cells of a sheet that may come from repeating others."""
_SPAN = re.compile(r"(-?)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:[.,]\d+)?)S)?)?")
_NUMBERS = ("float", "percentage", "currency")


class Ods(PackagedWorkbook):
    """A workbook; see the port.

    Args:
        package: Its zip file, which it closes.
        key: Its name in messages.
    """

    def __init__(self, package: Package, key: str) -> None:
        super().__init__(package, key)
        if package.has("META-INF/manifest.xml") and b"encryption-data" in package.read("META-INF/manifest.xml"):
            raise locked(key)
        self.sheets = self._listed()

    def rows(self, sheet: Sheet) -> Iterator[Row]:
        """Yield the rows that have cells; see the port."""
        what = f"{self._key}, sheet {sheet.name}"
        reader = _SheetReader(int(sheet.part), what)
        made = markup.parser(what)
        made.StartElementHandler = reader.start
        made.EndElementHandler = reader.end
        made.CharacterDataHandler = reader.text
        for _ in self._parsed(made, what):
            for row, times, cells in reader.rows:
                for again in range(times):
                    yield row + again, cells
            reader.rows.clear()
        self._merged[sheet.part] = reader.merged

    def _parsed(self, made: expat.XMLParserType, what: str) -> Iterator[None]:
        with self._package.open(_PART) as part:
            yield from markup.parse(part, made, what)

    def _listed(self) -> tuple[Sheet, ...]:
        found: list[tuple[str, str]] = []
        hidden: set[str] = set()
        style = ""
        depth = 0

        def start(tag: str, given: dict[str, str]) -> None:
            nonlocal style, depth
            name = tag.rpartition(markup.SEPARATOR)[2]
            if name == "style":
                style = _given(given, "name")
            elif name == "table-properties" and _given(given, "display") == "false":
                hidden.add(style)
            elif name == "table" and tag.endswith("table:1.0}table"):
                depth += 1
                if depth == 1:
                    found.append((_given(given, "name"), _given(given, "style-name")))

        def end(tag: str) -> None:
            nonlocal depth
            depth -= tag.endswith("table:1.0}table")

        made = markup.parser(self._key)
        made.StartElementHandler, made.EndElementHandler = start, end
        for _ in self._parsed(made, self._key):
            pass
        return tuple(Sheet(name, style in hidden, str(place)) for place, (name, style) in enumerate(found))


class _SheetReader:
    """Turns the events of the part into the rows of one sheet: (place, how often, cells)."""

    def __init__(self, place: int, what: str) -> None:
        self.rows: list[tuple[int, int, list[tuple[int, Value]]]] = []
        self.merged: list[Area] = []
        self._place = place
        self._what = what
        self._table = self._depth = self._aside = 0
        self._row = self._column = self._times = self._repeated = 0
        self._cells: list[tuple[int, Value]] = []
        self._cell: dict[str, str] | None = None
        self._lines: list[list[str]] = []
        self._size = 0

    def start(self, tag: str, given: dict[str, str]) -> None:
        space, _, name = tag.rpartition(markup.SEPARATOR)
        if name == "table" and space.endswith("table:1.0"):
            self._depth += 1
            self._table += self._depth == 1
            self._row = 0
        if self._depth != 1 or self._table - 1 != self._place:
            return
        if self._cell is not None:
            self._within(name, given)
        elif name == "table-row":
            self._times = self._times_of(given, "number-rows-repeated", MOST_ROWS)
            self._cells, self._column = [], 0
        elif name in ("table-cell", "covered-table-cell"):
            self._cell = {key.rpartition(markup.SEPARATOR)[2]: value for key, value in given.items()}
            if any(key.endswith("}value-type") and value == "error" for key, value in given.items()):
                self._cell["value-type"] = "error"
            self._lines, self._size, self._aside = [], 0, 0

    def text(self, data: str) -> None:
        if self._lines and not self._aside:
            self._lines[-1].append(data)
            self._size += len(data)
            if self._size > markup.LARGEST:
                raise DataError(f"{self._what} has a cell of over {markup.LARGEST:,} characters")

    def end(self, tag: str) -> None:
        space, _, name = tag.rpartition(markup.SEPARATOR)
        if self._depth == 1 and self._table - 1 == self._place:
            if self._aside:
                self._aside -= name in ("annotation", "shapes", "frame")
            elif name in ("table-cell", "covered-table-cell"):
                self._end_cell()
            elif name == "table-row":
                self._end_row()
        if name == "table" and space.endswith("table:1.0"):
            self._depth -= 1

    def _within(self, name: str, given: dict[str, str]) -> None:
        if name in ("annotation", "shapes", "frame"):
            self._aside += 1
        elif self._aside:
            return
        elif name == "p":
            self._lines.append([])
        elif self._lines and name == "s":
            self._lines[-1].append(" " * min(int(_given(given, "c") or 1), markup.LARGEST))
        elif self._lines and name in ("tab", "line-break"):
            self._lines[-1].append("\t" if name == "tab" else "\n")

    def _end_cell(self) -> None:
        cell = self._cell or {}
        self._cell = None
        times = self._times_of(cell, "number-columns-repeated", MOST_COLUMNS)
        value = self._value(cell)
        if value != "":
            last = self._column + times
            if last > MOST_COLUMNS:
                raise DataError(f"{self._what} has a row with more cells than a sheet has columns")
            self._cells += [(place, value) for place in range(self._column, last)]
        down = self._times_of(cell, "number-rows-spanned", MOST_ROWS)
        across = self._times_of(cell, "number-columns-spanned", MOST_COLUMNS)
        if down > 1 or across > 1:
            self.merged.append(Area(self._row, self._column, self._row + down - 1, self._column + across - 1))
        self._column += times
        self._lines = []

    def _end_row(self) -> None:
        if self._cells:
            self._repeated += (self._times - 1) * len(self._cells)
            if self._row + self._times > MOST_ROWS or self._repeated > _MOST_REPEATED:
                raise DataError(f"{self._what} repeats its cells without end: it is made to harm")
            self.rows.append((self._row, self._times, self._cells))
        self._row += self._times

    def _times_of(self, given: dict[str, str], name: str, most: int) -> int:
        text = given.get(name) or _given(given, name) or "1"
        if not text.isdecimal() or len(text) > 9:
            raise DataError(f"{self._what} says how often a cell is repeated, but not as a number", value=text)
        return min(max(int(text), 1), most)

    def _value(self, cell: dict[str, str]) -> Value:
        kind = cell.get("value-type", "")
        text = "\n".join("".join(line) for line in self._lines)
        if kind == "error":
            return Fault(text or "error")
        if kind in _NUMBERS:
            return number(cell.get("value", ""))
        if kind == "boolean":
            return cell.get("boolean-value") == "true"
        if kind == "date":
            return _moment(cell.get("date-value", text))
        if kind == "time":
            return _clock(cell.get("time-value", text))
        if not kind and "formula" in cell:
            return Uncomputed("formula without a result")
        return cell.get("string-value", text) if kind == "string" else text


def _given(given: dict[str, str], name: str) -> str:
    return next((value for key, value in given.items() if key.endswith(markup.SEPARATOR + name)), "")


def _moment(text: str) -> Value:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    return found if "T" in text else found.date()


def _clock(text: str) -> Value:
    """Return a time of day, or a duration where it is none."""
    met = _SPAN.fullmatch(text)
    if met is None or (met[2] and len(met[2]) > 9) or (met[3] and len(met[3]) > 9):
        return text
    span = timedelta(
        days=int(met[2] or 0),
        hours=int(met[3] or 0),
        minutes=int(met[4] or 0),
        seconds=float((met[5] or "0").replace(",", ".")),
    )
    if met[1]:
        return -span
    return serials.clock(span) if span < timedelta(days=1) else span
