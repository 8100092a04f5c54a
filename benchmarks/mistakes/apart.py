"""A judge in processes of its own: each judges one table, out of the mistakes that are drawn for all."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from benchmarks.mistakes.batches import Batches
from benchmarks.mistakes.judging import Result, judged, merged
from benchmarks.mistakes.table import Table


def judged_apart(
    tables: Sequence[Table], judge: str, seeds: Sequence[int], *, everywhere: bool, processes: int
) -> Result:
    """Let a judge look at clean batches and at batches with a mistake, so many tables at once.

    A table whose judging crashes is named in the result, which holds what was found in all others.

    Args:
        tables: Which tables.
        judge: Its name.
        seeds: One round of all mistakes each.
        everywhere: Whether each mistake is made in each table that has a place for it, not in one of them.
        processes: How many tables at once.

    Raises:
        RuntimeError: All tables crashed.
    """
    with tempfile.TemporaryDirectory(prefix="penstock-mistakes-") as folder:
        # Cut and drawn here, once; each process finds the files.
        batches = Batches(Path(folder), tables)
        try:
            for seed in seeds:
                batches.places(seed, everywhere=everywhere)
        finally:
            batches.close()
        asked = (folder, tables, judge, seeds, everywhere)
        with ThreadPoolExecutor(processes) as threads:
            parts = list(threads.map(lambda table: _in_a_process(table.name, *asked), tables))
    crashed = {table.name: part for table, part in zip(tables, parts, strict=True) if isinstance(part, str)}
    results = [part for part in parts if isinstance(part, Result)]
    if not results:
        raise RuntimeError(f"all tables crashed: {crashed}")
    return replace(merged(results), crashed=crashed)


def _in_a_process(
    only: str, folder: str, tables: Sequence[Table], judge: str, seeds: Sequence[int], everywhere: bool
) -> Result | str:
    """Return the result of a table, or what its process died of."""
    try:
        # A pool of its own: one that loses a process gives up on all that it was asked for.
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            result = pool.submit(_judged, only, folder, tables, judge, seeds, everywhere).result()
    except Exception as error:
        _tell(f"{only}: crashed: {type(error).__name__}: {error}")
        return f"{type(error).__name__}: {error}"
    caught, alarmed = len(result.cases) - len(result.missed), len(result.false_alarms)
    _tell(f"{only}: {caught} of {len(result.cases)} caught, {alarmed} false alarms")
    return result


def _judged(
    only: str, folder: str, tables: Sequence[Table], judge: str, seeds: Sequence[int], everywhere: bool
) -> Result:
    batches = Batches(Path(folder), tables)
    try:
        return judged(batches, judge, seeds, everywhere=everywhere, only=[only])
    finally:
        batches.close()


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
