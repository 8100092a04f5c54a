"""Workbooks of Excel 5 to 2003 (xls), by xlrd; a sheet has at most 65,536 rows and 256 columns."""

from __future__ import annotations

import io
from collections.abc import Iterator

import xlrd

from penstock.errors import DataError
from penstock.extract.files.formats.spreadsheets import serials
from penstock.extract.files.formats.spreadsheets.package import locked
from penstock.extract.files.formats.spreadsheets.workbook import Area, Fault, Row, Sheet, Value, plain
from penstock.extract.files.formats.spreadsheets.xlsb import ERRORS

_TEXT, _NUMBER, _MOMENT, _TRUTH, _FAULT = 1, 2, 3, 4, 5


class Xls:
    """A workbook; see the port.

    Args:
        path: Where it is.
        key: Its name in messages.

    Raises:
        DataError: It is locked, or damaged.
    """

    def __init__(self, path: str, key: str) -> None:
        self._key = key
        try:
            self._book = xlrd.open_workbook(path, logfile=io.StringIO(), on_demand=True, formatting_info=True)
        except xlrd.XLRDError as error:
            if "encrypted" in str(error):
                raise locked(key) from None
            raise DataError(f"{key} is no whole workbook", remedy="Fetch it anew, or save it as xlsx") from None
        visible = self._book._sheet_visibility  # noqa: SLF001 - told nowhere else before a sheet is loaded
        self._shown = [self._style(style.format_key) for style in self._book.xf_list]
        self.sheets = tuple(
            Sheet(name, visible[place] != 0, str(place)) for place, name in enumerate(self._book.sheet_names())
        )

    def rows(self, sheet: Sheet) -> Iterator[Row]:
        """Yield the rows that have cells; see the port."""
        found = self._book.sheet_by_index(int(sheet.part))
        for row in range(found.nrows):
            kinds, values = found.row_types(row), found.row_values(row)
            cells = [
                (place, self._value(kind, values[place], found.cell_xf_index(row, place)))
                for place, kind in enumerate(kinds)
                if _TEXT <= kind <= _FAULT and values[place] != ""
            ]
            if cells:
                yield row, cells

    def merged(self, sheet: Sheet) -> list[Area]:
        """Return the merged cells; see the port."""
        found = self._book.sheet_by_index(int(sheet.part))
        return [Area(top, left, below - 1, after - 1) for top, below, left, after in found.merged_cells]

    def close(self) -> None:
        """Release the file."""
        self._book.release_resources()

    def _style(self, key: int) -> serials.Shown:
        known = self._book.format_map.get(key)
        if known is not None and known.format_str:
            return serials.shown(known.format_str)
        return serials.BUILT_IN.get(key, serials.Shown.NUMBER)

    def _value(self, kind: int, value: object, style: int) -> Value:
        if kind == _TRUTH:
            return bool(value)
        if kind == _FAULT:
            assert isinstance(value, int)
            return Fault(ERRORS.get(value, f"#ERROR {value}"))
        if isinstance(value, float):
            shown = self._shown[style] if style < len(self._shown) else serials.Shown.NUMBER
            if shown is serials.Shown.NUMBER:
                return plain(value)
            return serials.moment(value, shown, since_1904=bool(self._book.datemode))
        return str(value)
