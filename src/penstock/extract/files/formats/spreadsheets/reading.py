"""From a workbook to batches: a first pass finds header, types and error cells, a second gives the rows.

A sheet of few cells is held between the two; a larger one is read twice, so that memory does not grow with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import field
from typing import Any

import pyarrow as pa

from penstock.errors import DataError
from penstock.extract.files.formats.port import Asked
from penstock.extract.files.formats.spreadsheets import opening
from penstock.extract.files.formats.spreadsheets.columns import Column, column, spelt
from penstock.extract.files.formats.spreadsheets.options import Options, checked, chosen
from penstock.extract.files.formats.spreadsheets.workbook import (
    Area,
    Fault,
    Row,
    Sheet,
    Uncomputed,
    Value,
    Workbook,
    letters,
)
from penstock.names import distinct
from penstock.values import dataclass

_HELD = 500_000
"""How many cells are held between the passes."""
_ROWS = 65_536
_CELL = 16
_SHOWN = 3


def read(asked: Asked) -> Iterator[pa.RecordBatch]:
    """Yield the rows of the sheets that are asked for, in their order.

    Raises:
        ConfigurationError: A sheet or option that there is not.
        DataError: The file is no workbook, is locked, or holds formulas that were never computed.
    """
    options = checked(asked.options, asked.file.key)
    with closing(opening.workbook(asked)) as workbook:
        for sheet in chosen(workbook.sheets, options, asked.file.key, asked.notes):
            found = _Survey(workbook, sheet, options, f"{asked.file.key}, sheet {sheet.name}")
            found.run()
            columns = found.columns()
            asked.notes.extend(found.notes(columns))
            if columns:
                yield from _batches(found, columns, sheet.name if options.named else None, asked)


@dataclass(slots=True)
class _Survey:
    """The first pass over a sheet."""

    workbook: Workbook
    sheet: Sheet
    options: Options
    what: str
    first: int | None = None
    header: dict[int, dict[int, Value]] = field(default_factory=dict)
    kinds: dict[int, set[type]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    fault_count: int = 0
    row_count: int = 0
    last: int = -1
    held: list[Row] | None = field(default_factory=list)
    _cells: int = 0

    def run(self) -> None:
        for row, cells in self._within(self.workbook.rows(self.sheet)):
            if self._in_header(row):
                self.header[row] = dict(cells)
                continue
            self._look(row, cells)
            if self.held is not None:
                self._cells += len(cells)
                self.held.append((row, cells))
                if self._cells > _HELD:
                    self.held = None

    def rows(self) -> Iterator[Row]:
        """Yield the rows below the header."""
        if self.held is not None:
            yield from self.held
            return
        for row, cells in self._within(self.workbook.rows(self.sheet)):
            if row not in self.header:
                yield row, cells

    def columns(self) -> list[Column]:
        places = sorted({*self.kinds, *(place for cells in self.header.values() for place in cells)})
        names = self._names(places)
        keep = self.options.faults == "keep"
        return [
            column(place, name, self.kinds.get(place, set()), faults=keep)
            for place, name in zip(places, names, strict=True)
        ]

    def notes(self, columns: Sequence[Column]) -> Iterator[str]:
        """Yield sentences about what is not as in a plain table."""
        if not columns:
            yield f"{self.what} holds no cells"
            return
        for one in columns:
            if one.mixed:
                yield f"{self.what}: column {one.name!r} holds {' and '.join(one.mixed)}; it is read as text"
        if self.fault_count:
            kept = {"keep": "kept as text", "null": "read as null"}.get(
                self.options.faults, "set aside with their rows"
            )
            yield f"{self.what}: {self.fault_count} error cells are {kept}, as {', '.join(self.faults)}"
        blank = self.last - (self.first or 0) + 1 - self.row_count - self.options.header
        if self.row_count and blank > 0:
            yield f"{self.what}: {blank} blank rows are left out"
        merged = [one for one in self.workbook.merged(self.sheet) if self._is_data(one)]
        if merged:
            place = f"{letters(merged[0].left)}{merged[0].top + 1}"
            yield f"{self.what}: {len(merged)} merged areas, as at {place}, hold their value in their first cell alone"
        if self.header and len(columns) > 2 and all(len(cells) == 1 for cells in self.header.values()):
            row = min(self.header) + 1
            yield f"{self.what}: row {row} is read as the header and holds one cell; if it is a title, say skip={row}"

    def _within(self, rows: Iterator[Row]) -> Iterator[Row]:
        area = self.options.area
        top = area.top + self.options.skip
        whole = area == Area()
        for row, cells in rows:
            if not top <= row <= area.bottom:
                continue
            inside = cells if whole else [one for one in cells if area.left <= one[0] <= area.right]
            if inside:
                yield row, inside

    def _in_header(self, row: int) -> bool:
        if self.first is None:
            self.first = row
        return row < self.first + self.options.header

    def _look(self, row: int, cells: list[tuple[int, Value]]) -> None:
        kinds = self.kinds
        self.row_count += 1
        self.last = row
        for place, value in cells:
            kind = type(value)
            if place in kinds:
                kinds[place].add(kind)
            else:
                kinds[place] = {kind}
            if isinstance(value, Fault):
                self._met(row, place, value)

    def _met(self, row: int, place: int, fault: Fault) -> None:
        cell = f"{letters(place)}{row + 1}"
        if isinstance(fault, Uncomputed) and self.options.faults in ("keep", "refuse"):
            raise DataError(
                f"{self.what}: cell {cell} has a formula that no program has computed, so there is no value to read",
                remedy="Open and save it in a spreadsheet program, or read such cells as null with errors='null'",
            )
        if self.options.faults == "refuse":
            raise DataError(
                f"{self.what}: cell {cell} holds an error", value=str(fault), valid="errors='keep' or errors='null'"
            )
        self.fault_count += 1
        if len(self.faults) < _SHOWN:
            self.faults.append(f"{fault} in {cell}")

    def _is_data(self, one: Area) -> bool:
        area, below = self.options.area, (self.first or 0) + self.options.header
        return one.top >= below and one.top <= area.bottom and area.left <= one.left <= area.right

    def _names(self, places: Sequence[int]) -> list[str]:
        """Return the columns' names: the header's rows joined, a merged cell standing in all that it covers."""
        for one in self.workbook.merged(self.sheet):
            value = self.header.get(one.top, {}).get(one.left)
            if value is None:
                continue
            for row in range(one.top, min(one.bottom, max(self.header)) + 1):
                for place in places:
                    if one.left <= place <= one.right:
                        self.header.setdefault(row, {})[place] = value
        names = ["sheet"] if self.options.named else []
        for place in places:
            parts = [spelt(self.header[row][place]).strip() for row in sorted(self.header) if place in self.header[row]]
            parts = [part for number, part in enumerate(parts) if part and part not in parts[:number]]
            names.append(" ".join("_".join(parts).split()) or f"column_{letters(place)}")
        return distinct(names)[1 if self.options.named else 0 :]


def _batches(found: _Survey, columns: Sequence[Column], sheet: str | None, asked: Asked) -> Iterator[pa.RecordBatch]:
    places = {one.place: number for number, one in enumerate(columns)}
    faults = found.options.faults == "keep"
    rows: list[list[Any]] = []
    size = 0
    for row, cells in found.rows():
        if found.options.faults == "quarantine" and any(isinstance(value, Fault) for _, value in cells):
            _set_aside(asked, found, row, cells)
            continue
        values: list[Any] = [None] * len(columns)
        size += _CELL * len(columns)
        for place, value in cells:
            if isinstance(value, str):
                size += len(value)
                if not faults and isinstance(value, Fault):
                    continue
            values[places[place]] = value
        rows.append(values)
        if size >= asked.batch_bytes or len(rows) >= _ROWS:
            yield _batch(rows, columns, sheet)
            rows, size = [], 0
    if rows or not found.row_count:
        yield _batch(rows, columns, sheet)


def _set_aside(asked: Asked, found: _Survey, row: int, cells: Sequence[tuple[int, Value]]) -> None:
    """Give a row with an error cell to the quarantine, as JSON by the letters of its columns."""
    faults = [f"{letters(place)}{row + 1}" for place, value in cells if isinstance(value, Fault)]
    text = json.dumps({letters(place): spelt(value) for place, value in cells}, ensure_ascii=False)
    where = {"line": row + 1, "sheet": found.sheet.name, "cells": faults}
    refusal = DataError(f"{found.what}: cell {faults[0]} holds an error", remedy="Mend it, or say errors='null'")
    asked.misfits.add("error_cell", [(text, where)], refusal)


def _batch(rows: Sequence[Sequence[Any]], columns: Sequence[Column], sheet: str | None) -> pa.RecordBatch:
    listed = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    arrays = [one.array(values) for one, values in zip(columns, listed, strict=True)]
    names = [one.name for one in columns]
    if sheet is not None:
        arrays.insert(0, pa.array([sheet] * len(rows), pa.string()))
        names.insert(0, "sheet")
    return pa.RecordBatch.from_arrays(arrays, names=names)
