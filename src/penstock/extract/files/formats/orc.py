"""ORC, a stripe at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
from pyarrow import orc

from penstock.extract.files.formats.port import Asked


def read(asked: Asked) -> Iterator[pa.RecordBatch]:
    """Yield a batch for each stripe; memory is that of a stripe, which its writer chose (64 to 256 MB are usual)."""
    with pa.OSFile(asked.file.path) as opened:
        file = orc.ORCFile(opened)
        yield pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in file.schema], schema=file.schema)
        for place in range(file.nstripes):
            batch = file.read_stripe(place)
            # Without a checksum, a damaged text may be none of UTF-8.
            batch.validate(full=True)
            yield batch
