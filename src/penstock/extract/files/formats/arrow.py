"""Arrow IPC: the file format (Feather V2) and the stream format, told apart by the first bytes."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from penstock.errors import DataError
from penstock.extract.files.formats.port import Asked

_FILE = b"ARROW1"
_FEATHER_1 = b"FEA1"


def read(asked: Asked) -> Iterator[pa.RecordBatch]:
    """Yield the batches as they were written, each checked: offsets of a damaged file could point anywhere.

    The file is read, not mapped: one that is cut while it is mapped kills the process.

    Raises:
        DataError: It is the first version of Feather, or a batch is not valid.
    """
    with asked.stream() as file:
        start = file.read(len(_FILE))
    if start.startswith(_FEATHER_1):
        raise DataError(f"{asked.file.key} is written in Feather V1", remedy="Write it anew as Feather V2 or Parquet")
    with asked.stream() as file:
        if start == _FILE and asked.content.compression is None:
            opened = pa.ipc.open_file(file)
            batches = (opened.get_batch(place) for place in range(opened.num_record_batches))
        else:
            # What follows the magic of a file, padded to eight bytes, is a stream.
            file.read(8 if start == _FILE else 0)
            opened = pa.ipc.open_stream(file)
            batches = iter(opened)
        yield pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in opened.schema], schema=opened.schema)
        for batch in batches:
            batch.validate(full=True)
            yield batch
