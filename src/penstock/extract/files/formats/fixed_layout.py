"""Where the columns of fixed-width lines stand: as the user says, or found from a ruler or from blank columns.

Places are characters from 0, ends are exclusive; the last column of a found layout is open.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from penstock.errors import ConfigurationError, DataError
from penstock.extract.files.formats.port import Asked
from penstock.names import distinct
from penstock.values import dataclass

_RULER = re.compile(r"[ +|]*(?:[-=]+[ +|]*)+")
_RUN = re.compile(r"[-=]+")
_FIELD = re.compile(r"\S+")
_LOOKED_AT = 3


@dataclass(frozen=True, slots=True)
class Span:
    """A column: its name, where it begins, and where it ends; None for the end of the line."""

    name: str
    start: int
    end: int | None


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a file.

    Attributes:
        spans: The columns, in their order.
        above: How many lines stand above the rows.
        length: How long each line is; None where the lines need not be of one length.
        longer: Whether a line may be longer, because not all of it is read.
        blanks: Places that are blank in every line of a found layout.
        ruler: A line that draws the columns and is no row wherever it stands; empty for none.
    """

    spans: tuple[Span, ...]
    above: int
    length: int | None
    longer: bool = False
    blanks: tuple[int, ...] = ()
    ruler: str = ""


def layout(asked: Asked, first: Sequence[str]) -> Layout:
    """Return where the columns stand.

    Args:
        asked: The file; its options are ``widths``, ``columns``, ``names``, ``header`` and ``skip``.
        first: Its first lines.

    Raises:
        ConfigurationError: An option is not what it may be.
        DataError: No layout is said and none can be found.
    """
    key, options = asked.file.key, asked.options
    skip, header = options.get("skip", 0), options.get("header")
    if not isinstance(skip, int) or isinstance(skip, bool) or skip < 0:
        raise ConfigurationError(f"The option skip of {key} is no number of lines", value=skip, valid="0, 1, 2 …")
    if header is not None and not isinstance(header, bool):
        raise ConfigurationError(f"The option header of {key} is neither true nor false", value=header)
    lines = first[skip:]
    names = _names(options.get("names"), key)
    if "columns" in options:
        return _placed(options["columns"], key, skip + bool(header))
    if "widths" in options:
        named, widths = _widths(options["widths"], key)
        named = named or names
        titled = not named if header is None else header
        return _wide(named, widths, lines, key, titled, skip)
    ruler = _ruler(lines)
    if ruler is not None:
        return _ruled(lines, ruler, names, skip)
    return _blank(lines, names, header is not False, key, skip)


def _names(given: Any, key: str) -> list[str]:
    if given is None:
        return []
    if not isinstance(given, list | tuple) or not all(isinstance(name, str) and name for name in given):
        raise ConfigurationError(f"The option names of {key} is no list of names", value=given)
    return list(given)


def _widths(given: Any, key: str) -> tuple[list[str], list[int]]:
    names = list(map(str, given)) if isinstance(given, Mapping) else []
    widths = list(given.values()) if isinstance(given, Mapping) else given
    good = isinstance(widths, list | tuple) and widths
    if not good or not all(isinstance(width, int) and not isinstance(width, bool) and width > 0 for width in widths):
        raise ConfigurationError(
            f"The widths of {key} are none", value=given, valid="numbers of characters, as [5, 20] or {id: 5, name: 20}"
        )
    return names, list(widths)


def _placed(given: Any, key: str, above: int) -> Layout:
    """Return the layout of ``{name: [first, last]}``, places from 1, both of them within the column."""
    valid = "first and last place of each column, from 1, as {id: [1, 5], name: [6, 25]}"
    if not isinstance(given, Mapping) or not given:
        raise ConfigurationError(f"The columns of {key} are none", value=given, valid=valid)
    spans = []
    for name, place in given.items():
        ends = list(place) if isinstance(place, list | tuple) else []
        if len(ends) != 2 or not all(isinstance(end, int) for end in ends) or not 1 <= ends[0] <= ends[1]:
            raise ConfigurationError(f"The column {name!r} of {key} has no place", value=place, valid=valid)
        spans.append(Span(str(name), ends[0] - 1, ends[1]))
    return Layout(tuple(spans), above, max(span.end or 0 for span in spans), longer=True)


def _wide(names: list[str], widths: list[int], lines: Sequence[str], key: str, titled: bool, skip: int) -> Layout:
    starts = [sum(widths[:place]) for place in range(len(widths) + 1)]
    if titled and not names:
        if not lines:
            raise DataError(f"{key} has no line that names its columns", remedy="Name them with names=[…]")
        names = [lines[0][start:end].strip() for start, end in pairwise(starts)]
    names = names or [""] * len(widths)
    if len(names) != len(widths):
        raise ConfigurationError(f"{key} has {len(widths)} widths, but {len(names)} names", value=names)
    spans = [Span(name, start, end) for name, (start, end) in zip(distinct(names), pairwise(starts), strict=True)]
    return Layout(tuple(spans), skip + titled, starts[-1])


def _ruler(lines: Sequence[str]) -> int | None:
    for place, line in enumerate(lines[:_LOOKED_AT]):
        if _RULER.fullmatch(line) and len(_RUN.findall(line)) > 1:
            return place
    return None


def _ruled(lines: Sequence[str], ruler: int, names: list[str], skip: int) -> Layout:
    runs = [(met.start(), met.end()) for met in _RUN.finditer(lines[ruler])]
    above = ruler + 1
    if not ruler and len(lines) > 2 and lines[2] == lines[0]:
        # A ruler above the names, and one below them.
        ruler, above = 2, 3
    titles = lines[ruler - 1] if ruler else ""
    found = [titles[start:end].strip() for start, end in runs[:-1]] + [titles[runs[-1][0] :].strip()]
    names = distinct(names or found)
    if len(names) != len(runs):
        raise ConfigurationError(f"The ruler has {len(runs)} columns, but there are {len(names)} names", value=names)
    ends: list[int | None] = [*(end for _, end in runs[:-1]), None]
    blanks = tuple(place for (_, end), (start, _) in pairwise(runs) for place in range(end, start))
    spans = [Span(name, start, end) for name, (start, _), end in zip(names, runs, ends, strict=True)]
    return Layout(tuple(spans), skip + above, None, blanks=blanks, ruler=lines[ruler])


def _blank(lines: Sequence[str], names: list[str], titled: bool, key: str, skip: int) -> Layout:
    filled = [line for line in lines if line.strip()]
    longest = max((len(line) for line in filled), default=0)
    # A column of characters that is blank in every line stands between two columns of values.
    ink = bytearray(longest + 1)
    for line in filled:
        for met in _FIELD.finditer(line):
            ink[met.start() : met.end()] = b"\1" * (met.end() - met.start())
    starts = [place for place in range(longest) if ink[place] and (not place or not ink[place - 1])]
    if len(filled) < 2 or len(starts) < 2:
        raise DataError(
            f"The columns of {key} cannot be told from its lines",
            valid="lines below a ruler as '----- ---', or columns with blanks between them in every line",
            remedy="Say widths={…} or columns={…}",
        )
    above = lines.index(filled[0]) + titled
    if titled and not names:
        ends = [*starts[1:], longest]
        names = [filled[0][start:end].strip() for start, end in zip(starts, ends, strict=True)]
    names = distinct(names or [""] * len(starts))
    if len(names) != len(starts):
        raise ConfigurationError(f"{key} has {len(starts)} columns, but {len(names)} names", value=names)
    found: list[int | None] = [*starts[1:], None]
    spans = [Span(name, start, end) for name, start, end in zip(names, starts, found, strict=True)]
    return Layout(tuple(spans), skip + above, None, blanks=tuple(start - 1 for start in starts[1:]))
