"""How the columns of an Arrow table are best written as Parquet."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.arrow import pa
from penstock.extract.port import byte_size

LONG = 1024
"""Bytes of a value, on average, from which on a column is written without dictionary and bounds."""
_SAMPLE = 16_384
"""Rows of a file that are looked at for values that repeat."""
_DISTINCT = 0.9
"""Share of different values among those from which on a dictionary is not worth its while."""


def short(table: pa.Table) -> list[str]:
    """Return the columns worth bounds, and maybe a dictionary: both hold long values in memory once more."""
    return [name for name in table.column_names if byte_size(table.select([name])) <= LONG * table.num_rows]


def repeating(table: pa.Table, columns: Sequence[str]) -> list[str]:
    """Return the leaves of those columns that are worth a dictionary.

    Where nearly each value is another one, it costs twice the time and takes more room than the values.
    """
    import pyarrow.compute as pc

    found = []
    for name in columns:
        sample = table.column(name).slice(0, _SAMPLE)
        if pa.types.is_nested(sample.type):
            found += _leaves(name, sample.type)
        elif len(pc.unique(sample)) <= _DISTINCT * (len(sample) - sample.null_count):
            found.append(name)
    return found


def _leaves(path: str, type_: pa.DataType) -> list[str]:
    """Return the paths in Parquet of what a column holds."""
    if pa.types.is_struct(type_):
        members = [(field.name, field.type) for field in (type_.field(place) for place in range(type_.num_fields))]
    elif pa.types.is_map(type_):
        members = [("key_value.key", type_.key_type), ("key_value.value", type_.item_type)]
    elif pa.types.is_nested(type_):
        members = [("list.element", type_.value_type)]
    else:
        return [path]
    return [leaf for name, member in members for leaf in _leaves(f"{path}.{name}", member)]
