"""What a user says of a workbook, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penstock.errors import ConfigurationError
from penstock.extract.files.formats.spreadsheets.workbook import Area, Sheet, area
from penstock.names import unknown
from penstock.values import dataclass

_FAULTS = ("keep", "null", "quarantine", "refuse")


@dataclass(frozen=True, slots=True)
class Options:
    """The options.

    Attributes:
        sheets: Names or numbers from 1; None takes the first that is shown.
        named: Whether a column tells the sheet.
        area: The cells that are read.
        skip: How many rows of it are left out.
        header: How many rows the header has.
        faults: What becomes of error cells: ``keep``, ``null``, ``quarantine`` (the row) or ``refuse``.
    """

    sheets: tuple[str | int, ...] | None
    named: bool
    area: Area
    skip: int
    header: int
    faults: str


def checked(given: Mapping[str, Any], key: str) -> Options:
    """Return the options of the file ``key``.

    Raises:
        ConfigurationError: One is not what it may be.
    """
    sheet = given.get("sheet")
    several = isinstance(sheet, list | tuple) or sheet == "*"
    cells = area(str(given["range"])) if "range" in given else Area()
    if cells is None or cells.top > cells.bottom or cells.left > cells.right:
        raise ConfigurationError(
            f"The range of {key} is none", value=given["range"], valid="cells such as B2:F100, B:F or B2"
        )
    faults = given.get("errors", "keep")
    if faults not in _FAULTS:
        raise ConfigurationError(f"What becomes of error cells in {key} is not known", value=faults, valid=_FAULTS)
    header = given.get("header", True)
    return Options(
        sheets=None if sheet is None else ("*",) if sheet == "*" else tuple(sheet if several else (sheet,)),
        named=several,
        area=cells,
        skip=_count("skip", given.get("skip", 0), key),
        header=_count("header", int(header) if isinstance(header, bool) else header, key),
        faults=faults,
    )


def chosen(sheets: Sequence[Sheet], options: Options, key: str, notes: list[str]) -> list[Sheet]:
    """Return the sheets that are read; what is left out by itself is a note.

    Raises:
        ConfigurationError: There is no sheet of that name or number.
    """
    visible = [sheet for sheet in sheets if not sheet.hidden]
    hidden = [sheet.name for sheet in sheets if sheet.hidden]
    if options.sheets is None:
        if not visible:
            raise ConfigurationError(f"{key} has no sheet that is shown", valid=hidden, remedy="Name one with sheet=…")
        others = [sheet.name for sheet in visible[1:]] + [f"{name} (hidden)" for name in hidden]
        if others:
            notes.append(f"{key}: of its sheets {visible[0].name} alone is read, not {', '.join(others[:12])}")
        return visible[:1]
    if options.sheets == ("*",):
        if hidden:
            notes.append(f"{key}: hidden sheets are not read: {', '.join(hidden[:12])}")
        return visible
    return [_found(sheets, wanted, key) for wanted in options.sheets]


def _found(sheets: Sequence[Sheet], wanted: Any, key: str) -> Sheet:
    names = [sheet.name for sheet in sheets]
    if isinstance(wanted, int) and not isinstance(wanted, bool):
        if not 1 <= wanted <= len(sheets):
            raise ConfigurationError(f"{key} has no sheet of that number", value=wanted, valid=f"1 to {len(sheets)}")
        return sheets[wanted - 1]
    for sheet in sheets:
        if sheet.name == wanted:
            return sheet
    alike = [sheet for sheet in sheets if sheet.name.strip().lower() == str(wanted).strip().lower()]
    if len(alike) == 1:
        return alike[0]
    raise unknown("sheet", str(wanted), names, where=key)


def _count(name: str, value: Any, key: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 2**20:
        raise ConfigurationError(f"The option {name} of {key} is no number of rows", value=value, valid="0, 1, 2 …")
    return value
