"""When the engine is kept to less than its memory: as long as rows only stream into the warehouse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from threading import Event

from penstock.load.spec import Loading
from penstock.model.entries import DataFile
from penstock.model.specs import Nested, WriteMode
from penstock.orchestrate.workspace import Workspace
from penstock.stores.engine import LocalEngine
from penstock.stores.parquet import heavy, largest_group

_SMALL = 16 * 2**20
"""Loads of fewer bytes do not fill the engine's memory."""
_BEGUN = 1.0
"""Seconds after which all threads of an insert are at work."""


@contextmanager
def streaming(spec: Loading, workspace: Workspace) -> Iterator[None]:
    """Keep DuckDB to what a load needs on its way, where its rows are inserted as they come and nothing is joined."""
    files = [file for load in spec.loads for file in load.entry.files]
    table = workspace.lake.table(spec.loads[0].entry.table) if spec.loads else None
    long = table is not None and heavy(zip(table.places(files), (file.bytes for file in files), strict=True))
    with ExitStack() as held:
        held.enter_context(workspace.engine.alone(long))
        if long and table is not None and any(column.type == "JSON" for column in table.columns()):
            # On its way to be JSON, a long text is Arrow's as well, of which DuckDB knows nothing.
            held.enter_context(workspace.engine.lent(largest_group(table.places(files)) // 2))
        held.enter_context(_kept(spec, workspace, () if long else files))
        yield


@contextmanager
def _kept(spec: Loading, workspace: Workspace, files: Sequence[DataFile]) -> Iterator[None]:
    plain = spec.source.write in (WriteMode.APPEND, WriteMode.REPLACE) and spec.source.nested is not Nested.TABLES
    if not plain or spec.prepare is not None or sum(file.bytes for file in files) < _SMALL:
        yield
        return
    table = workspace.lake.table(spec.loads[0].entry.table)
    group = largest_group(table.places(files))
    engine = workspace.engine
    columns = max(len(load.entry.schema) for load in spec.loads)
    rows = sum(file.rows for file in files)
    wanted, enough = workspace.budget.streaming(rows, columns, group, engine.threads)
    with engine.lent(engine.memory - wanted), _later(engine, wanted - enough):
        yield


@contextmanager
def _later(engine: LocalEngine, size: int) -> Iterator[None]:
    """Lend some more once the rows flow: what DuckDB wants to have when it begins it does not need to go on."""
    over = Event()

    def lend() -> None:
        if not over.wait(_BEGUN):
            with engine.lent(size):
                over.wait()

    with ThreadPoolExecutor(1, "penstock-lending") as pool:
        ended = pool.submit(lend)
        try:
            yield
        finally:
            over.set()
    ended.result()
