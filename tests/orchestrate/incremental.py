"""A place where one source is run again and again: a real lake, catalog and warehouse in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock import sources
from penstock.catalog.opening import open_catalog
from penstock.checks import CheckSpec
from penstock.model.events import ignore
from penstock.model.receipts import RunReceipt, State
from penstock.model.specs import ConnectionSpec, EnvironmentSpec, PipelineSpec, SourceSpec
from penstock.orchestrate import running
from penstock.orchestrate.workspace import Workspace


@dataclass
class Place:
    """Runs ``SELECT`` on what came of it; ``url`` is the database that ``ops`` leads to."""

    folder: Path
    url: str = ""
    password: str = ""
    checks: Sequence[CheckSpec] = ()
    _open: Workspace | None = field(default=None, init=False)

    @property
    def workspace(self) -> Workspace:
        if self._open is None:
            (self.folder / "lake").mkdir(parents=True, exist_ok=True)
            kind = self.url.partition(":")[0].replace("postgresql", "postgres")
            self._open = Workspace(
                name="place",
                root=str(self.folder),
                staging=EnvironmentSpec(
                    name="staging", lake=str(self.folder / "lake"), warehouse=str(self.folder / "w.duckdb")
                ),
                production=None,
                catalog=open_catalog(f"sqlite:///{self.folder / 'catalog.db'}"),
                connections={"ops": self._connection(kind or "sqlite")},
                observer=ignore,
            )
        return self._open

    def _connection(self, kind: str) -> ConnectionSpec:
        secrets = {"password": self.password} if self.password else {}
        return ConnectionSpec(name="ops", kind=kind, url=self.url, secrets=secrets)

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def run(self, source: SourceSpec) -> RunReceipt:
        spec = PipelineSpec(name="p", sources=(source,), checks={source.table: tuple(self.checks)})
        return running.run(self.workspace, spec, running.Asked())

    def good(self, source: SourceSpec) -> RunReceipt:
        """Run, and fail where the run did."""
        receipt = self.run(source)
        assert receipt.state in (State.DONE, State.UNCHANGED), receipt.error
        return receipt

    def sql(self, table: str = "t", **reading: Any) -> RunReceipt:
        return self.good(sources.sql("ops", table=table, **reading))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.workspace.warehouse.reading() as transaction:
            return transaction.execute(query)

    def column(self, query: str) -> list[Any]:
        return [row[0] for row in self.rows(query)]


def read(receipt: RunReceipt) -> int:
    """Return how many rows a run read of its sources."""
    return sum(step.rows or 0 for step in receipt.steps if step.step.startswith("extract"))


def notes(receipt: RunReceipt) -> str:
    return " | ".join(note for step in receipt.steps for note in step.notes)
