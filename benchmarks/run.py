"""Measures the cases and prints tables: ``python -m benchmarks.run [NAME…] [--rounds N] [--small] [--save]``."""

from __future__ import annotations

import argparse
import compileall
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.cases import CASES
from benchmarks.results import markdown, plain, save
from benchmarks.sizes import ROOT, SMALL, Sizes, Table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases that are named, or all; returns the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks", description="Penstock beside the same work done by hand.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CASES)}; default: all")
    parser.add_argument("--rounds", type=int, default=3, help="how often each runs (default: 3)")
    parser.add_argument("--small", action="store_true", help="tiny data: shows that it runs, measures nothing")
    parser.add_argument("--save", action="store_true", help="keep the results for docs/benchmarks.md")
    parser.add_argument("--aged", type=int, metavar="N", help="micro-batches of aging (default: 20,000)")
    parser.add_argument(
        "--aged-in", metavar="FOLDER", help="where aging keeps its table, to go on with it another time"
    )
    asked = parser.parse_args(arguments)
    unknown = sorted(set(asked.names) - set(CASES))
    if unknown or asked.rounds < 1:
        parser.error(f"no such benchmark: {', '.join(unknown)}" if unknown else "--rounds must be at least 1")
    for folder in ("src/penstock", "benchmarks"):
        # As an installed package is; an environment may forbid that importing does it.
        compileall.compile_dir(str(ROOT / folder), quiet=1)
    sizes = SMALL if asked.small else Sizes()
    if asked.aged:
        sizes = replace(sizes, aged=(asked.aged, max(1, min(sizes.aged[1], asked.aged // 3))))
    sizes = replace(sizes, aged_in=asked.aged_in)
    print(f"{os.cpu_count()} cores, {asked.rounds} rounds, load {os.getloadavg()[0]:.1f} at the start", flush=True)
    for name in asked.names or CASES:
        load, tables = os.getloadavg()[0], []
        with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
            for table in CASES[name](sizes, asked.rounds, Path(folder)):
                print(text(table), flush=True)
                tables.append(table)
        if asked.save:
            save(name, tables, asked.rounds, load)
    return 0


def text(table: Table) -> str:
    """Return a table as Markdown."""
    return "\n".join([f"\n### {table.title}\n", *markdown(plain(table))])


if __name__ == "__main__":
    sys.exit(main())
