"""Penstock at the same work, as a user would write it: ``python -m benchmarks.by_penstock WORK FOLDER [INPUT]``."""

from __future__ import annotations

import sys
from pathlib import Path

import penstock


def main() -> None:
    """Do the work that the arguments name."""
    work, folder, *given = sys.argv[1:]
    if work == "run":
        with penstock.Project(folder) as project:
            receipt = project.run()
        sys.exit(receipt.exit_code)
    reading = {"merge": {"write": "merge", "key": "id"}, "nested": {"nested": "tables"}}.get(work, {})
    penstock.ingest(given[0], to=str(Path(folder) / "t.duckdb"), table="t", **reading)


if __name__ == "__main__":
    main()
