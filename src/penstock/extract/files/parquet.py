"""Parquet files that Arrow reads: DuckDB makes doubles of decimals of over 38 digits, and holds long values thrice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penstock.arrow import pa, pq
from penstock.errors import DataError, TransientError
from penstock.extract.files.listing import File
from penstock.extract.port import ArrowBatch
from penstock.stores.footers import Footer, footer
from penstock.values import dataclass

_EXACT_DIGITS = 38
"""Digits of a decimal that DuckDB holds."""
_MUCH = 64 * 2**20
"""Bytes of a column chunk from which on it may hold a value that is very long."""
_WIDE = 4096
"""Bytes of a value of it, on average, from which on it is likely to."""


@dataclass(frozen=True, slots=True)
class ArrowFiles:
    """Parquet files that are read by Arrow, one after the other.

    Attributes:
        origins: Each file, and what stands in the manifest about it.
    """

    origins: tuple[tuple[File, Mapping[str, Any]], ...]

    def batches(self, batch_bytes: int) -> Iterator[ArrowBatch]:
        """Yield the rows in their order, about ``batch_bytes`` at a time.

        Raises:
            DataError: A file is no whole Parquet file.
            TransientError: A file vanished.
        """
        for file, detail in self.origins:
            try:
                with pq.ParquetFile(file.path) as opened:
                    groups = [opened.metadata.row_group(place) for place in range(opened.num_row_groups)]
                    width = sum(group.total_byte_size for group in groups) // max(1, opened.metadata.num_rows)
                    for batch in opened.iter_batches(max(1, batch_bytes // max(1, width))):
                        yield ArrowBatch(batch, (file.key, detail))
            except FileNotFoundError:
                raise TransientError(f"The file {file.key} vanished before it was read") from None
            except (pa.ArrowInvalid, OSError):
                raise DataError(f"{file.key} is no whole Parquet file") from None


def told_by_footer(file: File) -> tuple[bool, int | None]:
    """Say whether Arrow is to read a file, and how many rows it has; one that cannot be opened is left to DuckDB."""
    try:
        found = footer(file.path)
    except DataError:
        return False, None
    return any(leaf.digits > _EXACT_DIGITS for leaf in found.leaves) or _long(found), found.rows


def _long(found: Footer) -> bool:
    """Say whether there are texts or bytes that may be very long; what is smaller DuckDB reads faster."""
    for group in found.groups:
        if group.bytes >= _MUCH:
            texts = (group.texts(leaf) for leaf in range(len(found.leaves)))
            if any(size >= max(_MUCH, _WIDE * values) for size, values in texts):
                return True
    return False
