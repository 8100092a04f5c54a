"""What benchmarks gave, kept as JSON: one file a case, which the page and its plots are made from."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.measuring import Line
from benchmarks.sizes import Table

FOLDER = Path(__file__).parent / "results"


def save(name: str, tables: Sequence[Table], rounds: int, load: float) -> None:
    """Keep what a case gave.

    Args:
        name: The case.
        tables: What it gave.
        rounds: How often each contestant ran.
        load: Of the machine at the start, averaged over a minute.
    """
    FOLDER.mkdir(exist_ok=True)
    kept = {
        "measured": datetime.now(UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "rounds": rounds,
        "load": round(load, 1),
        "tables": [plain(table) for table in tables],
    }
    (FOLDER / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n")


def plain(table: Table) -> dict[str, Any]:
    """Return a table as it is kept."""
    lines = [_line(line, table) for line in table.lines]
    return {"title": table.title, "rows": table.rows, "note": table.note, "lines": lines}


def markdown(table: Mapping[str, Any]) -> list[str]:
    """Return the lines of a kept table as Markdown."""
    lines = [
        "| way | median s | range s | CPU s | ratio | rows/s | peak memory, MB | rows and types |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for line in table["lines"]:
        ratio = "" if line["ratio"] is None else f"{line['ratio']:.2f}"
        lines.append(
            f"| {line['name']} | {line['seconds']:.2f} | {line['least']:.2f} to {line['most']:.2f} "
            f"| {line['cpu']:.2f} | {ratio} | {line['rows'] / line['seconds']:,.0f} | {line['peak'] / 1e6:,.0f} "
            f"| {line['differs'] or 'all, exact'} |"
        )
    return [*lines, "", table["note"]] if table["note"] else lines


def _line(line: Line, table: Table) -> dict[str, Any]:
    taken = [sample.seconds for sample in line.samples]
    return {
        "name": line.name,
        "seconds": round(line.seconds, 3),
        "least": round(min(taken), 3),
        "most": round(max(taken), 3),
        "cpu": round(line.cpu, 3),
        "ratio": None if line.ratio is None else round(line.ratio, 3),
        "rows": line.rows or table.rows,
        "peak": line.peak,
        "differs": line.differs,
    }
