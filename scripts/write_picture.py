"""Draws docs/demo.svg from what the demo printed: ``make demo > demo.log``, then this script with ``demo.log``."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).parents[1] / "docs" / "demo.svg"
WIDTH = 116
WANTED = [
    (r"^\$ penstock backfill --from 2013-01-01", 1),
    (r"^2013-01-01 ", 2),
    (r"^2013-03-31 ", 1),
    (r"^flights backfill: done", 1),
    (r"^\$ penstock quarantine show", 3),
    (r"^\$ penstock diff", 7),
    (r"^\$ penstock promote", 2),
    (r"^── A bad day", 1),
    (r"^\$ penstock run --interval 2013-04-02", 1),
    (r"^rejected: ", 3),
    (r"^\$ penstock retry", 1),
    (r"^flights retry: ", 1),
    (r"^\$ penstock rollback", 2),
    (r"^\$ penstock dataset verify", 6),
]
"""The lines shown: where an excerpt begins, and how many lines it has."""


def main() -> None:
    """Write the picture."""
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    place = 0
    for pattern, count in WANTED:
        found = next((n for n in range(place, len(lines)) if re.match(pattern, lines[n])), None)
        if found is None:
            sys.stderr.write(f"not in the log: {pattern}\n")
            continue
        if pattern.startswith((r"^\$", "^──")) and place:
            console.print()
        for line in lines[found : found + count]:
            console.print(_painted(line[:WIDTH]))
        place = found + 1
    drawn = console.export_svg(title="make demo")
    # A picture in a repository must not fetch fonts from elsewhere.
    drawn = re.sub(r"@font-face\s*\{.*?\}", "", drawn, flags=re.DOTALL)
    PICTURE.write_text(drawn, encoding="utf-8")


def _painted(line: str) -> Text:
    text = Text(line)
    if line.startswith("$ "):
        text.stylize("bold cyan")
    elif line.startswith("──"):
        text.stylize("bold")
    text.highlight_regex(r"rejected|failed", "red")
    text.highlight_regex(r"\d+ set aside|quarantine", "yellow")
    text.highlight_regex(r"\bpassed|sound|in production|done\b", "green")
    return text


if __name__ == "__main__":
    main()
