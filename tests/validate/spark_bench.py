"""The same rows, judged by both engines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from penstock.model.receipts import CheckReceipt
from penstock.stores.spark import Spark
from penstock.validate import quarantine


@dataclass
class Both:
    """One table, judged on DuckDB and on Spark."""

    bench: Any
    spark: Spark

    def land(self, rows: pa.Table, sizes: Sequence[int] | None = None, types: dict[str, str] | None = None) -> Both:
        self.bench.land(rows, sizes, types)
        return self

    def check(self, *checks: Any, **changes: Any) -> CheckReceipt:
        """Return what both found, which must be the same to the last word; the rows set aside as well."""
        here = self.bench.check(*checks, **changes)
        left = self._set_aside(here)
        there = self.bench.check(*checks, **changes, scale_out=self.spark)
        right = self._set_aside(there)
        pairs = zip(here.report.failures, there.report.failures, strict=False)
        differing = [f"{other}\n{mine}" for mine, other in pairs if repr(other) != repr(mine)]
        assert not differing, "\n".join(differing)
        assert repr(there.report) == repr(here.report)
        assert right == left
        return here

    def _set_aside(self, receipt: CheckReceipt) -> list[str]:
        if receipt.quarantine is None:
            return []
        table = quarantine.rows(self.bench.objects, receipt.quarantine, 10**6)
        # NaN is not equal to itself, so rows are compared as they are written.
        return [repr(row) for row in table.to_pylist()]
