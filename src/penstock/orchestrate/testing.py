"""Testing transforms on small rows: no lake, no source, no catalog; a warehouse in a folder that is thrown away."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from penstock.model.graph import made_by
from penstock.model.specs import PipelineSpec, TransformSpec
from penstock.model.testing import CasesReport, TransformCase
from penstock.names import unknown
from penstock.orchestrate.parsing import parse
from penstock.orchestrate.preparing import with_inputs
from penstock.stores.engine import LocalEngine
from penstock.stores.warehouse import DuckDBWarehouse


def test(
    specs: Mapping[str, PipelineSpec], cases: Sequence[TransformCase], table: str | None, memory: int
) -> CasesReport:
    """Compute the transforms that tests are about over the rows that they give, and compare.

    Args:
        specs: The pipelines.
        cases: The tests.
        table: Only the tests of this transform; None: all.
        memory: Bytes that the engine may hold.

    Raises:
        ConfigurationError: There is no such transform.
    """
    from penstock.transform.trying import try_case

    transforms = {item.table: (item, spec) for spec in specs.values() for item in spec.transforms}
    if table is not None and table not in transforms:
        raise unknown("transform", table, transforms, where="the project")
    chosen = [case for case in cases if table in (None, case.table)]
    engine, results = LocalEngine(memory=memory), []
    try:
        for case in chosen:
            if case.table not in transforms:
                raise unknown("transform", case.table, transforms, where=case.file)
            with tempfile.TemporaryDirectory(prefix="penstock-") as folder:
                warehouse = DuckDBWarehouse(str(Path(folder) / "warehouse.duckdb"), engine)
                results.append(try_case(_told(*transforms[case.table]), case, warehouse))
    finally:
        engine.close()
    tested = {case.table for case in chosen}
    wanted = transforms if table is None else {table: transforms[table]}
    return CasesReport(cases=tuple(results), untested=tuple(name for name in wanted if name not in tested))


def _told(transform: TransformSpec, spec: PipelineSpec) -> TransformSpec:
    query = None if transform.sql is None else parse(transform)
    return with_inputs(transform, made_by(spec), spec.sources, query)
