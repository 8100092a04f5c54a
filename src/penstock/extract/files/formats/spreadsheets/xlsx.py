"""Workbooks of Office Open XML (xlsx, xlsm): sheets are read as streams, shared texts are held."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from penstock.errors import DataError
from penstock.extract.files.formats import markup
from penstock.extract.files.formats.spreadsheets import serials
from penstock.extract.files.formats.spreadsheets.package import Package, PackagedWorkbook
from penstock.extract.files.formats.spreadsheets.workbook import (
    MOST_ROWS,
    MOST_TEXT,
    Area,
    Fault,
    Row,
    Sheet,
    Uncomputed,
    Value,
    area,
    column,
    number,
)

_DIGITS = "0123456789"
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")


class Xlsx(PackagedWorkbook):
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
        what = f"{self._key}, sheet {sheet.name}"
        made = markup.parser(what)
        reader = _SheetReader(self._texts, self._shown, self._since_1904, what)
        made.StartElementHandler = reader.start
        made.EndElementHandler = reader.end
        made.CharacterDataHandler = reader.text
        with self._package.open(sheet.part) as part:
            for _ in markup.parse(part, made, what):
                yield from reader.rows
                reader.rows.clear()
        self._merged[sheet.part] = reader.merged

    def _listed(self, main: str, relations: dict[str, tuple[str, str]]) -> tuple[Sheet, ...]:
        found = []

        def start(tag: str, given: dict[str, str]) -> None:
            name = tag.rpartition(markup.SEPARATOR)[2]
            if name == "workbookPr":
                self._since_1904 = given.get("date1904", "0") in ("1", "true", "on")
            elif name == "sheet":
                id_ = next((value for key, value in given.items() if key.endswith("}id")), "")
                kind, target = relations.get(id_, ("", ""))
                if kind == "worksheet":
                    found.append(Sheet(given.get("name", ""), given.get("state", "visible") != "visible", target))

        self._parsed(main, start)
        return tuple(found)

    def _styles(self, part: str) -> list[serials.Shown]:
        """Return what each style of cells shows."""
        codes = dict(serials.BUILT_IN)
        styles: list[serials.Shown] = []
        inside = False

        def start(tag: str, given: dict[str, str]) -> None:
            nonlocal inside
            name = tag.rpartition(markup.SEPARATOR)[2]
            if name == "numFmt":
                codes[int(given["numFmtId"])] = serials.shown(given.get("formatCode", ""))
            elif name == "cellXfs":
                inside = True
            elif name == "xf" and inside:
                styles.append(codes.get(int(given.get("numFmtId", "0")), serials.Shown.NUMBER))

        def end(tag: str) -> None:
            nonlocal inside
            inside = inside and not tag.endswith("}cellXfs")

        self._parsed(part, start, end)
        return styles

    def _shared(self, part: str) -> list[str]:
        texts: list[str] = []
        pieces: list[str] = []
        size = phonetic = 0
        taking = False

        def start(tag: str, _: dict[str, str]) -> None:
            nonlocal taking, phonetic
            name = tag.rpartition(markup.SEPARATOR)[2]
            if name == "si":
                pieces.clear()
            elif name == "rPh":
                phonetic += 1
            taking = name == "t" and not phonetic

        def text(data: str) -> None:
            nonlocal size
            if taking:
                pieces.append(data)
                size += len(data)
                if size > MOST_TEXT:
                    raise DataError(f"{self._key} holds over {MOST_TEXT:,} characters of shared texts", remedy=_AS_CSV)

        def end(tag: str) -> None:
            nonlocal taking, phonetic
            taking = False
            name = tag.rpartition(markup.SEPARATOR)[2]
            if name == "si":
                texts.append(unescaped("".join(pieces)))
            elif name == "rPh":
                phonetic -= 1

        self._parsed(part, start, end, text)
        return texts

    def _parsed(self, part: str, start: Any, end: Any = None, text: Any = None) -> None:
        what = f"{self._key} ({part})"
        made = markup.parser(what)
        made.StartElementHandler, made.EndElementHandler, made.CharacterDataHandler = start, end, text
        with self._package.open(part) as stream:
            for _ in markup.parse(stream, made, what):
                pass


_AS_CSV = "Save it as CSV"


def unescaped(text: str) -> str:
    """Return a text with the characters that XML cannot hold, which are written as ``_x000D_``."""
    return _ESCAPED.sub(lambda met: chr(int(met[1], 16)), text) if "_x" in text else text


class _SheetReader:
    """Turns the events of a sheet into rows."""

    def __init__(self, texts: list[str], shown: list[serials.Shown], since_1904: bool, what: str) -> None:
        self.rows: list[Row] = []
        self.merged: list[Area] = []
        self._texts = texts
        self._shown = shown
        self._since_1904 = since_1904
        self._what = what
        self._row = self._column = -1
        self._cells: list[tuple[int, Value]] = []
        self._type = "n"
        self._style = 0
        self._pieces: list[str] = []
        self._size = self._phonetic = 0
        self._taking = self._given = self._formula = False

    def start(self, tag: str, given: dict[str, str]) -> None:
        name = tag.rpartition(markup.SEPARATOR)[2]
        if name == "c":
            place = given.get("r")
            self._column = column(place.rstrip(_DIGITS)) if place else self._column + 1
            self._type = given.get("t", "n")
            self._style = int(given.get("s", 0))
            self._pieces.clear()
            self._size = 0
            self._given = self._formula = False
        elif name == "v" or (name == "t" and not self._phonetic):
            self._taking = self._given = True
        elif name == "row":
            row = given.get("r")
            self._row = int(row) - 1 if row else self._row + 1
            if not 0 <= self._row < MOST_ROWS:
                raise DataError(f"{self._what} has a row that no sheet has", value=row)
            self._cells, self._column = [], -1
        elif name == "f":
            self._formula = True
        elif name == "rPh":
            self._phonetic += 1
        elif name == "mergeCell":
            found = area(given.get("ref", ""))
            if found is not None:
                self.merged.append(found)

    def text(self, data: str) -> None:
        if self._taking:
            self._pieces.append(data)
            self._size += len(data)
            if self._size > markup.LARGEST:
                raise DataError(f"{self._what} has a cell of over {markup.LARGEST:,} characters", remedy=_AS_CSV)

    def end(self, tag: str) -> None:
        name = tag.rpartition(markup.SEPARATOR)[2]
        if name == "c":
            value = self._value("".join(self._pieces)) if self._given or self._formula else ""
            if value != "":
                self._cells.append((self._column, value))
        elif name in ("v", "t"):
            self._taking = False
        elif name == "row":
            if self._cells:
                self.rows.append((self._row, self._cells))
        elif name == "rPh":
            self._phonetic -= 1

    def _value(self, text: str) -> Value:
        kind = self._type
        if kind == "s":
            try:
                return self._texts[int(text)]
            except (IndexError, ValueError):
                raise DataError(f"{self._what} refers to a text that is not there: it is damaged") from None
        if kind in ("str", "inlineStr"):
            return unescaped(text)
        if text == "":
            return Uncomputed("formula without a result") if self._formula else ""
        if kind == "e":
            return Fault(text)
        if kind == "b":
            return text in ("1", "true")
        if kind == "d":
            return _iso(text)
        shown = self._shown[self._style] if self._style < len(self._shown) else serials.Shown.NUMBER
        if shown is serials.Shown.NUMBER:
            return number(text)
        try:
            return serials.moment(float(text), shown, since_1904=self._since_1904)
        except (ValueError, OverflowError):
            return text


def _iso(text: str) -> Value:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    if found.tzinfo is not None:
        return text
    return found.date() if "T" not in text and " " not in text else found
