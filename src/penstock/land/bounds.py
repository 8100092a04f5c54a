"""The bounds of a written file, read from its footer for the Delta log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from penstock.model.entries import Column
from penstock.schema import parse
from penstock.stores.footers import by_arrow
from penstock.stores.parquet import statistic

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - as the moments stand in the file
_MOMENTS = ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE")


def footer_statistics(place: str, columns: Sequence[Column]) -> dict[str, tuple[Any, Any, int]]:
    """Return a Parquet file's bounds and null counts, united over its row groups."""
    footer, leaves = by_arrow(place)
    indices = {leaf.column: index for index, leaf in enumerate(leaves)}
    taken: dict[str, tuple[Any, Any, int]] = {}
    for column in columns:
        index = indices.get(column.name)
        stored = column.stored or column.type
        # A footer says nothing of NaN, which is greater than all numbers to some readers.
        if index is None or stored in ("BLOB", "DOUBLE", "FLOAT") or parse(stored).members:
            continue
        groups = [footer.row_group(g).column(index).statistics for g in range(footer.num_row_groups)]
        if any(group is None or not group.has_null_count for group in groups):
            continue
        nulls = sum(group.null_count for group in groups)
        low, high = _bounds(groups, stored)
        taken[column.name] = (_json(low, stored, upper=False), _json(high, stored, upper=True), nulls)
    return taken


def _bounds(groups: Sequence[pq.Statistics], stored: str) -> tuple[Any, Any]:
    bounded = [group for group in groups if group.has_min_max]
    if not bounded or not all(group.has_min_max for group in groups if group.num_values):
        return None, None
    try:
        if stored in _MOMENTS:
            # Arrow would import pandas for a moment with a zone.
            ends = min(group.min_raw for group in bounded), max(group.max_raw for group in bounded)
            low, high = (_EPOCH + timedelta(microseconds=end) for end in ends)
        else:
            low, high = min(group.min for group in bounded), max(group.max for group in bounded)
    except (OverflowError, ValueError):
        # Python's calendar ends before that of Parquet.
        return None, None
    return low, high


def _json(value: Any, stored: str, *, upper: bool) -> Any:
    if value is None or isinstance(value, bytes):
        return None
    text = str(value)
    if stored == "TIMESTAMP WITH TIME ZONE":
        text += "+00"
    return statistic(text, stored, upper=upper)
