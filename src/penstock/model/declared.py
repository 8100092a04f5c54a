"""What a pipeline must be in itself, whatever it is run on."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.errors import ConfigurationError
from penstock.model.specs import PipelineSpec, Severity
from penstock.model.windows import WindowedSpec
from penstock.names import RAW_PREFIX, unknown


def verify(spec: PipelineSpec) -> None:
    """Refuse what cannot be, before anything is opened; raises ConfigurationError."""
    made = [source.table for source in spec.sources] + [item.table for item in spec.transforms]
    for name in made:
        if made.count(name) > 1:
            raise ConfigurationError(
                f"Pipeline {spec.name!r} makes the table {name!r} twice", remedy="Rename one of them"
            )
    _verify_checks(spec, made)
    transformed = [item.table for item in spec.transforms]
    for table in spec.promote:
        if table not in transformed:
            raise unknown("transformed table", table, transformed, where=f"promote of pipeline {spec.name!r}")
    for source in spec.sources:
        if source.interval and (spec.schedule is None or spec.start is None):
            raise ConfigurationError(
                f"Source {source.table!r} is read by interval, but pipeline {spec.name!r} lacks a schedule or a start",
                remedy='Add schedule="@daily" and start="2013-01-01"',
            )
    for dataset in spec.datasets:
        for table in (dataset.table, *(item.table for item in dataset.features)):
            if table not in spec.promote:
                raise unknown("promoted table", table, spec.promote, where=f"training set {dataset.name!r}")


def _verify_checks(spec: PipelineSpec, made: Sequence[str]) -> None:
    """Refuse checks of, profiles of, and references to, tables that the pipeline does not make."""
    for table in spec.profiled:
        if table not in made:
            raise unknown("table", table, made, where=f"profiled of pipeline {spec.name!r}")
    known = {name.lower() for name in made}
    for table, listed in spec.checks.items():
        if table not in made:
            raise unknown("table", table, made, where=f"checks of pipeline {spec.name!r}")
        windowed = any(isinstance(item, WindowedSpec) and item.table == table for item in spec.transforms)
        for check in listed:
            if windowed and check.severity is Severity.QUARANTINE:
                raise ConfigurationError(
                    f"Check {check.name!r} would set windows of {table!r} aside, which come back with their next event",
                    value="severity='quarantine'",
                    valid="warn or error",
                    remedy="Set the events aside: make it a check of the stream",
                )
            wanted = str(check.parameters["table"]) if check.kind in ("references", "reconciles") else table
            if wanted.removeprefix(RAW_PREFIX).lower() not in known:
                raise unknown("table", wanted, made, where=f"check {check.name!r} of {table}")
