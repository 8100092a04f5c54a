"""Writes the tables and plots of docs/benchmarks.md from the kept results: ``python -m benchmarks.page``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from benchmarks.results import FOLDER, markdown

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
PLOTS = PAGE.parent / "benchmarks"
BEGIN, END = "<!-- results: written by python -m benchmarks.page -->", "<!-- end of results -->"
ORDER = (
    "postgres",
    "csv",
    "nested",
    "merge",
    "small",
    "memory",
    "checks",
    "drift",
    "transforms",
    "planning",
    "promotion",
    "kafka",
    "webhooks",
    "cdc",
    "live",
    "aging",
)
_BAR, _ROW, _LEFT, _WIDTH = 16, 26, 270, 760
_COLOURS = {"by hand": "#9aa5b1", "Penstock": "#0b7285"}


def main() -> None:
    """Write the page and its plots."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + "\n\n" + results() + END + after)


def results() -> str:
    """Return the tables of all kept results as Markdown, and draw their plots."""
    PLOTS.mkdir(exist_ok=True)
    names = sorted((path.stem for path in FOLDER.glob("*.json")), key=lambda name: (_place(name), name))
    parts = []
    for name in names:
        kept = json.loads((FOLDER / f"{name}.json").read_text())
        for number, table in enumerate(kept["tables"]):
            file = f"{name}{number + 1 if len(kept['tables']) > 1 else ''}.svg"
            (PLOTS / file).write_text(plot(table["lines"]))
            parts.append(_section(kept, table, file))
    return "\n".join(parts)


def _place(name: str) -> int:
    return ORDER.index(name) if name in ORDER else len(ORDER)


def _section(kept: Mapping[str, Any], table: Mapping[str, Any], plot_file: str) -> str:
    rounds = f"{kept['rounds']} rounds" if kept["rounds"] > 1 else "one round"
    lines = [
        f"### {table['title']}, {table['rows']:,} rows\n",
        f"![Seconds of each way](benchmarks/{plot_file})\n",
        f"{kept['measured']}, {kept['cores']} cores, {rounds}, load {kept['load']} at the start.\n",
        *markdown(table),
    ]
    return "\n".join(lines) + "\n"


def plot(lines: Sequence[Mapping[str, Any]]) -> str:
    """Return an SVG of bars: the median seconds, the range as a thin line, the peak memory as text."""
    most = max(line["most"] for line in lines)
    scale = (_WIDTH - _LEFT - 150) / most
    height = _ROW * len(lines) + 12
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        f'font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for number, line in enumerate(lines):
        top = 8 + number * _ROW
        middle, end = top + _BAR / 2, _LEFT + line["most"] * scale
        colour = next((c for start, c in _COLOURS.items() if line["name"].startswith(start)), "#e8590c")
        parts += [
            f'<text x="{_LEFT - 8}" y="{middle + 4:.0f}" text-anchor="end">{escape(line["name"])}</text>',
            f'<rect x="{_LEFT}" y="{top}" width="{line["seconds"] * scale:.1f}" height="{_BAR}" fill="{colour}"/>',
            f'<line x1="{_LEFT + line["least"] * scale:.1f}" x2="{end:.1f}" y1="{middle}" y2="{middle}" '
            f'stroke="#212529"/>',
            f'<text x="{end + 6:.0f}" y="{middle + 4:.0f}">{line["seconds"]:.1f} s, '
            f"{line['peak'] / 1e6:,.0f} MB</text>",
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    main()
