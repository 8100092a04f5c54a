"""Makes the mistakes, asks a judge, prints what it missed: ``python -m benchmarks.mistakes``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.mistakes.apart import judged_apart
from benchmarks.mistakes.judging import judge_of
from benchmarks.mistakes.page import shown
from benchmarks.mistakes.table import Table
from benchmarks.mistakes.tables import TABLES

RESULTS = Path(__file__).parent / "results"
LEAST = "benchmarks.mistakes.judging:schema_and_emptiness"


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask the judge and show its result; returns the exit code: 1 if a table crashed."""
    parser = argparse.ArgumentParser(
        prog="mistakes",
        description="Makes a hundred mistakes in real tables, one at a time, and shows which a judge did not notice.",
        epilog="Example: python -m benchmarks.mistakes --tables held-out --seed 1 --seed 2",
    )
    parser.add_argument("--judge", default=LEAST, metavar="MODULE:NAME", help=f"who is asked (default: {LEAST})")
    parser.add_argument("--seed", type=int, action="append", metavar="N", help="a round each (default: 1)")
    parser.add_argument("--tables", default="all", help="all, tuning, held-out, or names with commas between them")
    parser.add_argument("--everywhere", action="store_true", help="each mistake in each table that has a place for it")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="tables judged at once (default: 1)")
    parser.add_argument("--json", action="store_true", help="print all of it as JSON")
    parser.add_argument("--save", metavar="NAME", help=f"keep it in {RESULTS.name}/NAME.json, for the page of the docs")
    asked = parser.parse_args(arguments)
    try:
        tables = chosen(asked.tables)
        judge_of(asked.judge)
    except LookupError as error:
        parser.error(str(error))
    result = judged_apart(
        tables, asked.judge, asked.seed or [1], everywhere=asked.everywhere, processes=asked.processes
    ).as_json()
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    if asked.save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{asked.save}.json").write_text(text, encoding="utf-8")
    print(text if asked.json else shown(result), end="")
    return 1 if result["crashed"] else 0


def chosen(told: str) -> Sequence[Table]:
    """Return the tables that are asked for.

    Raises:
        LookupError: There is no such table.
    """
    groups = {
        "all": TABLES,
        "tuning": tuple(table for table in TABLES if not table.held_out),
        "held-out": tuple(table for table in TABLES if table.held_out),
    }
    if told in groups:
        return groups[told]
    by_name = {table.name: table for table in TABLES}
    names = [name.strip() for name in told.split(",")]
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise LookupError(f"no table {', '.join(unknown)}; there are {', '.join(by_name)}, and {', '.join(groups)}")
    return tuple(by_name[name] for name in names)


if __name__ == "__main__":
    sys.exit(main())
