"""Prints how well messy files are read without a hint: ``python -m benchmarks.messy.scoreboard``."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from benchmarks.messy import real
from benchmarks.messy.contestants import Answer, Asked, Read, contestants
from benchmarks.messy.pollutions import Written, pairs, singles

CLEVERCSV = "PENSTOCK_BENCH_CLEVERCSV_PYTHON"
UNIVOCITY = "PENSTOCK_BENCH_UNIVOCITY_JAR"


@dataclass(frozen=True, slots=True)
class Score:
    """Of one file: whether all of its table was found again, and the F1 of its rows."""

    exact: bool
    rows: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Score all contestants on all files; returns the exit code."""
    parser = argparse.ArgumentParser(prog="scoreboard", description="How well messy CSV files are read without a hint.")
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="take every Nth hurt file alone (default: all)"
    )
    parser.add_argument("--only", help="singles, pairs or real")
    parser.add_argument("--failures", metavar="NAME", help="list the files that this contestant did not find again")
    parser.add_argument("--contestant", metavar="NAME", help="score one contestant alone")
    parser.add_argument(
        "--real", action="append", default=[], metavar="TRUTH=FOLDER", help="real files with annotated dialects"
    )
    asked = parser.parse_args(arguments)
    with contestants(os.environ.get(CLEVERCSV), os.environ.get(UNIVOCITY)) as everyone:
        chosen = {name: read for name, read in everyone.items() if asked.contestant in (None, name)}
        if asked.only in (None, "singles"):
            _show("one way", _scored(islice(singles(), 0, None, asked.every), chosen), asked.failures)
        if asked.only in (None, "pairs"):
            _show("two ways at once", _scored(islice(pairs(), 0, None, asked.every), chosen), asked.failures)
        for told in asked.real:
            truth, _, folder = told.partition("=")
            print(real.shown(Path(truth), Path(folder), chosen, asked.failures), flush=True)
    return 0


def score(written: Written, answer: Answer) -> Score:
    """Compare what was read with what was written; texts are compared without the spaces around them."""
    names, rows = written.expected()
    wanted, found = Counter(map(_bare, rows)), Counter(map(_bare, answer.rows))
    both = sum((wanted & found).values())
    share = 2 * both / (wanted.total() + found.total()) if both else 0.0
    same_names = (names is None) == (answer.names is None) and (
        names is None or answer.names is None or _names(names) == _names(answer.names)
    )
    return Score(wanted == found and same_names, share)


def _bare(row: Iterable[str]) -> tuple[str, ...]:
    return tuple(cell.strip().replace("\r\n", "\n") for cell in row)


def _names(names: Iterable[str]) -> tuple[str, ...]:
    # A column without a name is called in another way by each.
    return tuple(name.strip() if not name.startswith(("column", "Column")) else "" for name in names)


def _scored(files: Iterable[tuple[str, Written]], chosen: dict[str, Read]) -> Iterator[tuple[str, str, Score]]:
    with tempfile.TemporaryDirectory(prefix="penstock-messy-") as folder:
        for number, (name, written) in enumerate(files):
            path = Path(folder) / f"{number}.csv"
            path.write_bytes(written.content())
            for who, read in chosen.items():
                yield who, name, score(written, _tried(read, Asked(str(path), written.encoding)))


def _tried(read: Read, asked: Asked) -> Answer:
    try:
        return read(asked)
    except Exception as error:
        print(f"{asked.path}: {type(error).__name__}", file=sys.stderr)
        return Answer()


def _show(title: str, scores: Iterable[tuple[str, str, Score]], failures: str | None) -> None:
    by_name: dict[str, list[Score]] = defaultdict(list)
    for who, name, found in scores:
        by_name[who].append(found)
        if who == failures and not found.exact:
            print(f"  {found.rows:.2f}  {name}")
    count = max(map(len, by_name.values()), default=0)
    lines = [f"\n### Files hurt in {title}: {count}\n", "| reader | whole table | rows |", "|---|---|---|"]
    for who, found_scores in by_name.items():
        exact = sum(found.exact for found in found_scores) / len(found_scores)
        rows = sum(found.rows for found in found_scores) / len(found_scores)
        lines.append(f"| {who} | {exact:.1%} | {rows:.3f} |")
    print("\n".join(lines), flush=True)


if __name__ == "__main__":
    sys.exit(main())
