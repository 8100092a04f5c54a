"""Parquet files that Arrow reads: DuckDB makes doubles of decimals of over 38 digits, and holds long values thrice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from penstock.errors import DataError, TransientError
from penstock.extract.files.listing import File
from penstock.extract.port import ArrowBatch
from penstock.late import late
from penstock.values import dataclass

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
else:
    pa, pq = late("pyarrow"), late("pyarrow.parquet")

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
        with pq.ParquetFile(file.path) as opened:
            needed = any(_wide(field.type) for field in opened.schema_arrow) or _long(opened.metadata)
            return needed, opened.metadata.num_rows
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError):
        return False, None


def _long(footer: pq.FileMetaData) -> bool:
    """Say whether there are texts or bytes that may be very long; what is smaller DuckDB reads faster."""
    for place in range(footer.num_row_groups):
        group = footer.row_group(place)
        if group.total_byte_size < _MUCH:
            continue
        chunks = (group.column(index) for index in range(group.num_columns))
        if any(
            chunk.physical_type == "BYTE_ARRAY"
            and chunk.total_uncompressed_size >= max(_MUCH, _WIDE * chunk.num_values)
            for chunk in chunks
        ):
            return True
    return False


def _wide(type_: pa.DataType) -> bool:
    if pa.types.is_nested(type_):
        return any(_wide(type_.field(place).type) for place in range(type_.num_fields))
    return bool(pa.types.is_decimal256(type_) and type_.precision > 38)
