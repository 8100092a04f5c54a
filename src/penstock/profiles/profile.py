"""The profile of a table and of each of its columns; merged over partitions, so a month is made from its days."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from functools import reduce
from typing import Any

from penstock.errors import DataError
from penstock.profiles.distinct import DistinctSketch
from penstock.profiles.frequent import FrequentValues
from penstock.profiles.histogram import Histogram
from penstock.profiles.moments import Moments
from penstock.values import dataclass

_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnProfile:
    """What the values of a column look like. Of a personal column only rows and nulls are known.

    Attributes:
        type: Its type, as DuckDB spells it.
        rows: Rows looked at.
        nulls: Rows without a value.
        nans: Values that are NaN.
        endless: Values that are infinite.
        distinct: Sketch of its different values.
        moments: Of its finite values: numbers, moments in seconds since 1970 UTC, lengths of texts.
        histogram: Of the same values.
        frequent: Its most frequent values.
        personal: Whether no value may be shown.
    """

    type: str
    rows: int
    nulls: int
    nans: int = 0
    endless: int = 0
    distinct: DistinctSketch | None = None
    moments: Moments | None = None
    histogram: Histogram | None = None
    frequent: FrequentValues | None = None
    personal: bool = False

    def merge(self, other: ColumnProfile) -> ColumnProfile:
        """Return the profile of both sets of rows together; what only one of them knows of its values is left out."""
        alike = self.type == other.type
        both = (self, other)
        distinct, moments = (_known(both, name) if alike else None for name in ("distinct", "moments"))
        histogram, frequent = (_known(both, name) if alike else None for name in ("histogram", "frequent"))
        return ColumnProfile(
            type=other.type,
            rows=self.rows + other.rows,
            nulls=self.nulls + other.nulls,
            nans=self.nans + other.nans,
            endless=self.endless + other.endless,
            distinct=distinct,
            moments=moments,
            histogram=histogram,
            frequent=frequent,
            personal=self.personal or other.personal,
        )

    @property
    def values(self) -> int:
        """Rows with a value."""
        return self.rows - self.nulls

    @property
    def null_share(self) -> float:
        """The share of rows without a value; 0 where there are no rows."""
        return self.nulls / self.rows if self.rows else 0.0


def _known(both: tuple[ColumnProfile, ColumnProfile], name: str) -> Any:
    """Return a sketch of both merged; one without any value takes no part."""
    filled = [getattr(each, name) for each in both if each.values]
    if any(sketch is None for sketch in filled):
        return None
    if len(filled) < 2:
        return filled[0] if filled else getattr(both[0], name)
    return filled[0].merge(filled[1])


@dataclass(frozen=True, slots=True)
class TableProfile:
    """The profile of some rows of a table.

    Attributes:
        rows: How many rows.
        columns: Column to its profile, in the order of the table.
    """

    rows: int = 0
    columns: Mapping[str, ColumnProfile] = field(default_factory=dict)

    def merge(self, other: TableProfile) -> TableProfile:
        """Return the profile of both sets of rows together; a column that one lacks is null in all its rows."""
        columns = {}
        for name in dict.fromkeys((*self.columns, *other.columns)):
            mine, theirs = self.columns.get(name), other.columns.get(name)
            if mine is not None and theirs is not None:
                columns[name] = mine.merge(theirs)
            elif mine is not None:
                columns[name] = replace(mine, rows=mine.rows + other.rows, nulls=mine.nulls + other.rows)
            elif theirs is not None:
                columns[name] = replace(theirs, rows=theirs.rows + self.rows, nulls=theirs.nulls + self.rows)
        return TableProfile(self.rows + other.rows, columns)

    def encode(self) -> bytes:
        """Return it as packed JSON, the same bytes for the same profile."""
        columns = {name: _plain(column) for name, column in self.columns.items()}
        text = json.dumps({"version": _VERSION, "rows": self.rows, "columns": columns}, separators=(",", ":"))
        return gzip.compress(text.encode(), compresslevel=6, mtime=0)

    @classmethod
    def decode(cls, data: bytes, *, where: str) -> TableProfile:
        """Read it back.

        Args:
            data: What ``encode`` gave.
            where: What is read, for the message.

        Raises:
            DataError: The bytes are no profile, or one of a later version.
        """
        try:
            found = json.loads(gzip.decompress(data))
            if found["version"] != _VERSION:
                raise DataError(f"{where} was written by another version of Penstock", value=found["version"])
            columns = {name: _read(column) for name, column in found["columns"].items()}
            return cls(int(found["rows"]), columns)
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{where} is no profile: {error}", remedy="It may be torn; see penstock doctor") from error


def merged(profiles: Iterable[TableProfile]) -> TableProfile:
    """Return the profile of all rows together."""
    return reduce(TableProfile.merge, profiles, TableProfile())


def _plain(column: ColumnProfile) -> dict[str, Any]:
    found: dict[str, Any] = {"type": column.type, "rows": column.rows, "nulls": column.nulls}
    found |= {name: value for name in ("nans", "endless", "personal") if (value := getattr(column, name))}
    for name in ("distinct", "moments", "histogram"):
        sketch = getattr(column, name)
        if sketch is not None:
            found[name] = sketch.plain()
    if column.frequent is not None:
        found["frequent"] = {"counts": dict(column.frequent.counts), "complete": column.frequent.complete}
    return found


def _read(found: dict[str, Any]) -> ColumnProfile:
    frequent = found.pop("frequent", None)
    return ColumnProfile(
        distinct=DistinctSketch.read(found.pop("distinct")) if "distinct" in found else None,
        moments=Moments.read(found.pop("moments")) if "moments" in found else None,
        histogram=Histogram.read(found.pop("histogram")) if "histogram" in found else None,
        frequent=FrequentValues(frequent["counts"], frequent["complete"]) if frequent else None,
        **found,
    )
