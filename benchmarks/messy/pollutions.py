"""The ways to hurt a clean file: each changes how it is written; two of them together are a pair."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

from benchmarks.messy.tables import Clean, tables

LONG = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """How a table is written; the defaults are RFC 4180.

    Attributes:
        clean: The table as it is to be found again.
        every: Whether each cell is quoted, not only those that need it.
        headers: How many rows of headers stand above the data.
        aside: Lines among the rows that are no rows: (place, cells, or a text as it is).
    """

    clean: Clean
    delimiter: str = ","
    quote: str = '"'
    escape: str = '"'
    every: bool = False
    end: str = "\r\n"
    other_end: str = ""
    last_end: bool = True
    encoding: str = "utf-8"
    headers: int = 1
    above: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    aside: tuple[tuple[int, tuple[str, ...] | str], ...] = ()
    blank_every: int = 0
    spaces: str = ""

    def content(self) -> bytes:
        """Return the file."""
        lines = [*self.above, *(self._line(cells) for cells in self._header())]
        for place, row in enumerate(self.clean.rows):
            for where, what in self.aside:
                if where == place:
                    lines.append(what if isinstance(what, str) else self._line(what))
            lines.append(self._line(row))
            if self.blank_every and place % self.blank_every == 0:
                lines.append("")
        lines += self.below
        ends = [self.other_end if self.other_end and place % 3 == 2 else self.end for place in range(len(lines))]
        if not self.last_end:
            ends[-1] = ""
        text = "".join(line + end for line, end in zip(lines, ends, strict=True))
        return text.encode(self.encoding, "replace")

    def expected(self) -> tuple[tuple[str, ...] | None, list[tuple[str, ...]]]:
        """Return the names, None where there are none, and the rows."""
        rows = [tuple(self._survives(cell) for cell in row) for row in self.clean.rows]
        if self.headers == 0:
            return None, rows
        if self.headers == 1:
            return self.clean.names, rows
        return tuple("_".join(part) for part in zip(*self._header(), strict=True)), rows

    def _survives(self, cell: str) -> str:
        return cell.encode(self.encoding, "replace").decode(self.encoding)

    def _header(self) -> list[tuple[str, ...]]:
        groups = [tuple(f"{word} {place // 2}" for place in range(len(self.clean.names))) for word in ("part", "group")]
        return [*groups[: max(0, self.headers - 1)], self.clean.names][: self.headers]

    def _line(self, cells: Sequence[str]) -> str:
        return (self.delimiter + self.spaces).join(self._cell(cell) for cell in cells)

    def _cell(self, cell: str) -> str:
        special = (self.delimiter, self.quote, "\n", "\r")
        if not self.quote or not (self.every or any(sign and sign in cell for sign in special) or cell != cell.strip()):
            return cell
        if self.escape != self.quote:
            cell = cell.replace(self.escape, self.escape * 2)
        return self.quote + cell.replace(self.quote, self.escape + self.quote) + self.quote


Hurt = Callable[[Written], Written]


def _set(written: Written, **changes: object) -> Written:
    return replace(written, **changes)  # type: ignore[arg-type]


def _rows(written: Written, rows: Sequence[Sequence[str]], names: Sequence[str] | None = None) -> Written:
    clean = Clean(written.clean.name, tuple(names or written.clean.names), tuple(tuple(row) for row in rows))
    return replace(written, clean=clean)


def _plain(written: Written) -> Written:
    """Take away what cannot be written without quotes."""
    signs = str.maketrans(dict.fromkeys((written.delimiter[0], '"', "\n", "\r", "'"), " "))
    rows = [[cell.translate(signs).strip() for cell in row] for row in written.clean.rows]
    return replace(_rows(written, rows), quote="", escape="")


def _every_nth(written: Written, column: int, nth: int, text: str) -> Written:
    rows = [list(row) for row in written.clean.rows]
    for row in rows[1::nth]:
        row[column % len(row)] = text
    return _rows(written, rows)


def _added(written: Written, column: Callable[[int], str], name: str, *, first: bool) -> Written:
    rows = [(column(place), *row) if first else (*row, column(place)) for place, row in enumerate(written.clean.rows)]
    names = (name, *written.clean.names) if first else (*written.clean.names, name)
    return _rows(written, rows, names)


def _lines(written: Written, place: int, *lines: tuple[str, ...] | str) -> Written:
    return replace(written, aside=(*written.aside, *((place, line) for line in lines)))


def _short(written: Written) -> Written:
    row = written.clean.rows[7][:-1]
    return _lines(written, 8, row if row != () else ("x",))


def _long(written: Written) -> Written:
    return _lines(written, 11, (*written.clean.rows[3], "one", "more"))


def _header_again(written: Written) -> Written:
    return _lines(written, 20, written.clean.names)


def _table_below(written: Written, cells: Sequence[str]) -> Written:
    lines = [written.delimiter.join(cells), *(written.delimiter.join(str(n) for n in range(len(cells))) for _ in "123")]
    return replace(written, below=(*written.below, "", *lines))


def _above(written: Written, *lines: str) -> Written:
    return replace(written, above=(*written.above, *lines))


def _below(written: Written, *lines: str) -> Written:
    return replace(written, below=(*written.below, *lines))


POLLUTIONS: dict[str, Hurt] = {
    **{
        f"delimiter {name}": partial(_set, delimiter=sign)
        for name, sign in {
            "semicolon": ";", "tab": "\t", "pipe": "|", "caret": "^", "tilde": "~", "colon": ":", "space": " ",
            "unit separator": "\x1f", "two pipes": "||", "two signs": "::", "comma space": ", ", "section": "§",
        }.items()
    },
    "quote single": partial(_set, quote="'", escape="'"),
    "quote backtick": partial(_set, quote="`", escape="`"),
    "quote everything": partial(_set, every=True),
    "no quotes": _plain,
    "escape backslash": partial(_set, escape="\\"),
    "ends LF": partial(_set, end="\n"),
    "ends CR": partial(_set, end="\r"),
    "ends mixed": partial(_set, end="\r\n", other_end="\n"),
    "no end at the end": partial(_set, last_end=False),
    "blank lines": partial(_set, blank_every=6),
    "space after delimiter": partial(_set, spaces=" "),
    "UTF-8 with a mark": partial(_set, encoding="utf-8-sig"),
    "UTF-16": partial(_set, encoding="utf-16"),
    "UTF-16 without a mark": partial(_set, encoding="utf-16-le"),
    "UTF-32": partial(_set, encoding="utf-32"),
    "Latin-1": partial(_set, encoding="latin-1"),
    "Windows-1252": partial(_set, encoding="cp1252"),
    "no header": partial(_set, headers=0),
    "two header rows": partial(_set, headers=2),
    "three header rows": partial(_set, headers=3),
    "line above": lambda written: _above(written, "Report of the office"),
    "lines above": lambda written: _above(
        written, "Report of the office", "Made on 2024-05-05 by N. N.", "", "All values as they came"
    ),
    "pairs above": lambda written: _above(
        written, *(f"{key}{written.delimiter}{value}" for key, value in (("Station", "Ulm"), ("Unit", "mm")))
    ),
    "comments above": lambda written: _above(written, "# made by hand", "# version 2"),
    "line below": lambda written: _below(written, "End of the report"),
    "total below": lambda written: _below(written, "", f"Total{written.delimiter}40"),
    "short row": _short,
    "long row": _long,
    "header again": _header_again,
    "comment among rows": lambda written: _lines(written, 15, "# checked until here"),
    "narrower table below": lambda written: _table_below(written, written.clean.names[:-1]),
    "wider table below": lambda written: _table_below(written, [*written.clean.names, "one", "two"]),
    "stray quote": lambda written: _lines(written, 9, f'7{written.delimiter}"x"y{written.delimiter}z'),
    "NA": lambda written: _every_nth(written, -1, 4, "NA"),
    "backslash N": lambda written: _every_nth(written, -1, 4, "\\N"),
    "dashes": lambda written: _every_nth(written, 1, 3, "-"),
    "mostly empty column": lambda written: _added(written, lambda n: "x" if n % 13 == 5 else "", "extra", first=False),
    "empty column": lambda written: _added(written, lambda _: "", "extra", first=False),
    "labels without a name": lambda written: _added(written, lambda n: str(n + 1), "", first=True),
    "names with spaces": lambda written: _rows(
        written, written.clean.rows, [f" {name.title()} (in %)" for name in written.clean.names]
    ),
    "names are years": lambda written: _rows(
        written,
        written.clean.rows,
        [written.clean.names[0], *(str(2001 + n) for n in range(len(written.clean.names) - 1))],
    ),
    "long cell": lambda written: _every_nth(written, -1, 40, "word " * (LONG // 5)),
    "comma decimals": lambda written: _every_nth(written, 1, 1, "1,5"),
    "line breaks in cells": lambda written: _every_nth(written, -1, 5, "one\ntwo, three\n\nfour"),
    "quotes in cells": lambda written: _every_nth(written, 0, 5, 'the "great" one'),
    "one row": lambda written: _rows(written, written.clean.rows[:1]),
    "two rows": lambda written: _rows(written, written.clean.rows[:2]),
}  # fmt: skip


_QUOTED = {"stray quote", "line breaks in cells", "quotes in cells", "comma decimals", "long cell"}
"""What cannot be told from other writings without the usual quotes."""
_QUOTING = {"no quotes", "quote single", "quote backtick"}


def singles() -> Iterator[tuple[str, Written]]:
    """Yield every table hurt in every way, and unhurt."""
    for clean in tables():
        yield f"{clean.name}: clean", Written(clean=clean)
        for name, hurt in POLLUTIONS.items():
            yield f"{clean.name}: {name}", hurt(Written(clean=clean))


def pairs() -> Iterator[tuple[str, Written]]:
    """Yield a table for each two ways that can be told apart again, the tables in turn."""
    all_tables = tables()
    for place, (one, other) in enumerate(combinations(POLLUTIONS, 2)):
        if _group(one) == _group(other) or ({one, other} & _QUOTED and {one, other} & _QUOTING):
            continue
        clean = all_tables[place % len(all_tables)]
        yield f"{clean.name}: {one} + {other}", POLLUTIONS[other](POLLUTIONS[one](Written(clean=clean)))


def _group(name: str) -> str:
    """Return what two pollutions cannot both decide."""
    for group in ("delimiter", "quote", "ends", "UTF", "header row"):
        if group in name:
            return group
    groups = {"no quotes": "quote", "escape backslash": "quote", "Latin-1": "UTF", "Windows-1252": "UTF"}
    rows = {"no header": "header row", "one row": "rows", "two rows": "rows", "names are years": "header row"}
    return {**groups, **rows}.get(name, name)
