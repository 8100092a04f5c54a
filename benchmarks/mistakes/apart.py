"""A judge in processes of its own: each judges one table, out of the mistakes that are drawn for all."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from benchmarks.mistakes.batches import Batches
from benchmarks.mistakes.judging import Result, judged, merged
from benchmarks.mistakes.table import Table


def judged_apart(
    tables: Sequence[Table], judge: str, seeds: Sequence[int], *, everywhere: bool, processes: int
) -> Result:
    """Let a judge look at clean batches and at batches with a mistake, so many tables at once.

    Args:
        tables: Which tables.
        judge: Its name.
        seeds: One round of all mistakes each.
        everywhere: Whether each mistake is made in each table that has a place for it, not in one of them.
        processes: How many tables at once.
    """
    with ProcessPoolExecutor(processes, get_context("spawn"), max_tasks_per_child=1) as pool:
        parts = [pool.submit(_judged, tables, table.name, judge, seeds, everywhere) for table in tables]
        return merged([part.result() for part in parts])


def _judged(tables: Sequence[Table], only: str, judge: str, seeds: Sequence[int], everywhere: bool) -> Result:
    with tempfile.TemporaryDirectory(prefix="penstock-mistakes-") as folder:
        batches = Batches(Path(folder), tables)
        try:
            result = judged(batches, judge, seeds, everywhere=everywhere, only=[only])
        finally:
            batches.close()
    caught, alarmed = len(result.cases) - len(result.missed), len(result.false_alarms)
    print(f"{only}: {caught} of {len(result.cases)} caught, {alarmed} false alarms", file=sys.stderr, flush=True)
    return result
