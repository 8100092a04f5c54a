"""The one-liner: one URI or object into one table of a DuckDB file, through the same way as a pipeline."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from penstock import names
from penstock.catalog.opening import open_catalog
from penstock.errors import (
    BugError,
    ConfigurationError,
    ConflictError,
    DataError,
    NotFoundError,
    PenstockError,
    TransientError,
)
from penstock.load.ledger import landed
from penstock.model.events import Observer
from penstock.model.reading import read_as
from penstock.model.receipts import IngestReceipt, State
from penstock.model.specs import ConnectionSpec, EnvironmentSpec, PipelineSpec, SourceSpec, WriteMode
from penstock.orchestrate import running, scoping
from penstock.orchestrate.workspace import Workspace
from penstock.privacy.keys import environment_keys
from penstock.stores.manifests import FOLDER


def ingest(
    data: Any,
    *,
    to: str,
    table: str | None,
    raw: bool,
    memory: int,
    observer: Observer,
    reading: Mapping[str, Any],
) -> IngestReceipt:
    """Bring data into a table; see ``penstock.ingest``."""
    source, connection = _source(data, table, reading)
    if source.cursor is not None and not raw:
        raise ConfigurationError(
            f"{source.table} is read by its cursor {source.cursor!r}, and where reading stopped stands in the raw zone",
            remedy="Keep the raw zone (no --no-raw), or read it whole: drop the cursor",
        )
    target = Path(to.removeprefix("duckdb:///")).expanduser().absolute()
    if not target.parent.is_dir():
        raise ConfigurationError(
            "The folder of the warehouse does not exist", value=str(target.parent), remedy="Make it, or choose another"
        )
    if target.is_dir():
        raise ConfigurationError(
            "The warehouse is a folder", value=str(target), valid="a DuckDB file", remedy=f"--to {to}/warehouse.duckdb"
        )
    lake = target.with_suffix(".lake")
    with ExitStack() as stack:
        if not raw:
            lake = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="penstock-raw-")))
        lake.mkdir(exist_ok=True)
        workspace = Workspace(
            name=target.stem,
            root=str(Path.cwd()),
            staging=EnvironmentSpec(name="staging", lake=str(lake), warehouse=str(target)),
            production=None,
            catalog=open_catalog(f"sqlite:///{lake / '_catalog.db'}"),
            connections={connection.name: connection} if connection else {},
            memory=memory,
            observer=observer,
            served={source.table: source.table},
            keys=environment_keys(),
        )
        stack.callback(workspace.close)
        # A target that is no warehouse is told before anything is read.
        with workspace.warehouse.reading() as transaction:
            there = landed(transaction, [source.table])[source.table]
        if there and not (raw and workspace.lake.table(names.raw(source.table)).head()):
            _number_on(workspace, source, max(there), raw=raw)
        spec = PipelineSpec(name=f"ingest_{source.table}", sources=(source,))
        run = running.run(workspace, spec, running.Asked(command="ingest"))
        if run.state is State.FAILED:
            raise _error(run.exit_code, f"Ingesting {source.table} failed: {run.error}")
        with workspace.warehouse.reading() as transaction:
            rows = transaction.execute(f'SELECT count(*) FROM "{source.table}"')[0][0]
    return IngestReceipt(table=source.table, warehouse=str(target), lake=str(lake) if raw else None, run=run, rows=rows)


def _number_on(workspace: Workspace, source: SourceSpec, newest: int, *, raw: bool) -> None:
    """Let the loads of a lake that holds none be numbered past those that the table holds already.

    The lake of the earlier loads was not kept, or is gone. A manifest without a commit counts for nothing, but for its
    number.

    Raises:
        DataError: The rows of the table would be doubled: where reading stopped is not known any more.
    """
    if raw and source.write is WriteMode.APPEND:
        raise DataError(
            f"The table {source.table} holds rows whose raw zone is gone, so that nobody knows where reading stopped",
            value=workspace.staging.lake,
            remedy="Put it back, ingest into another table, or add with --no-raw, which appends all rows",
        )
    workspace.lake.objects.create(f"{names.raw(source.table)}/{FOLDER}/{newest}.json", b"{}")


def _error(code: int, sentence: str) -> PenstockError:
    """Return an error of the class that exits with a code."""
    kinds = (ConfigurationError, DataError, TransientError, ConflictError, NotFoundError, BugError)
    kind = next((kind for kind in kinds if kind.exit_code == code), PenstockError)
    return kind(sentence)


def _source(data: Any, table: str | None, reading: Mapping[str, Any]) -> tuple[SourceSpec, ConnectionSpec | None]:
    if isinstance(data, str | Path):
        spec, connection = scoping.resolve(str(data), table, {})
        spec = replace(spec, table=table) if table else spec
    else:
        if table is None:
            raise ConfigurationError("An object that is ingested needs a table name", remedy='Add table="…"')
        spec, connection = SourceSpec(table=table, kind="python", data=data), None
    names.check_table_name(spec.table, where="The name of the table")
    # Without a word about it, a second ingest of the same thing gives the same table.
    return read_as(spec, {"write": "replace", **reading}), connection
