"""Real files whose dialects people annotated: does a reader cut them into the same cells?

The annotations are lines of ``file_name|encoding|fields_delimiter|quotechar|escapechar|…`` with signs by their names,
as in the collections that come with papers on dialect detection; neither files nor annotations are part of Penstock.
"""

from __future__ import annotations

import codecs
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.messy.contestants import Asked, Read, cells

_SIGNS = {
    "comma": ",", "semicolon": ";", "tab": "\t", "space": " ", "vslash": "|", "colon": ":", "nsign": "#",
    "doublequote": '"', "singlequote": "'", "tilde": "~", "grave": "`", "slash": "/", "backslash": "\\", "caret": "^",
    "underscore": "_", "sectionsign": "§", "comma_space": ", ", "nan": "", "": "",
}  # fmt: skip


def shown(truth: Path, folder: Path, chosen: Mapping[str, Read], failures: str | None) -> str:
    """Return a table of the share of files that each reader cuts into the cells that the annotation means."""
    right: dict[str, list[bool]] = defaultdict(list)
    for asked, dialect in _annotated(truth, folder):
        text = Path(asked.path).read_bytes().decode(asked.encoding, "replace").removeprefix("\ufeff")
        wanted = _bare(text, dialect)
        for who, read in chosen.items():
            try:
                found = read(asked).dialect
            except Exception:
                found = None
            same = found is not None and _bare(text, found) == wanted
            right[who].append(same)
            if who == failures and not same:
                print(f"  {Path(asked.path).name}: {found} for {dialect}")
    count = max(map(len, right.values()), default=0)
    lines = [f"\n### Real files of {truth.stem}: {count}\n", "| reader | same cells |", "|---|---|"]
    lines += [f"| {who} | {sum(each) / len(each):.1%} |" for who, each in right.items()]
    return "\n".join(lines)


def _bare(text: str, dialect: tuple[str, str, str]) -> list[list[str]]:
    """Return the cells without the spaces around them: what is behind a delimiter belongs to no value."""
    return [[cell.strip() for cell in row] for row in cells(text, dialect)]


def _annotated(truth: Path, folder: Path) -> Iterator[tuple[Asked, tuple[str, str, str]]]:
    for line in truth.read_text(encoding="utf-8-sig").splitlines():
        parts = [part.strip() for part in line.split("|")]
        if line.startswith(("#", "file_name|")) or len(parts) < 5:
            continue
        path = folder / parts[0]
        delimiter, quote, escape = (_SIGNS.get(part) for part in parts[2:5])
        if not path.is_file() or delimiter is None or quote is None:
            continue
        try:
            encoding = codecs.lookup(parts[1]).name
        except LookupError:
            continue
        yield Asked(str(path), encoding), (delimiter, quote, escape or quote)
