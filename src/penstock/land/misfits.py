"""The lines of a source that are no rows: written beside the load's files, and named by its manifest.

The file lies in the quarantine below the lake root. It is durable before the load is committed; what a failed attempt
leaves is named by nothing, and vacuum takes it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator

from penstock.arrow import pa, pq
from penstock.model.entries import Misfits
from penstock.names import REASONS
from penstock.stores.objects import TEMPORARY, file_error, sync_file
from penstock.stores.port import Objects

FOLDER = "_quarantine"


class MisfitFile:
    """The file of one attempt; made when the first line comes.

    Args:
        objects: The lake root.
        table: The lake table.
        name: What tells it from the files of other attempts.
    """

    def __init__(self, objects: Objects, table: str, name: str) -> None:
        self._objects = objects
        self._path = f"{FOLDER}/{table}/{name}.lines.parquet"
        self._partial = f"{FOLDER}/{table}/{TEMPORARY}{name}.lines.parquet"
        self._writer: pq.ParquetWriter | None = None
        self._reasons: Counter[str] = Counter()
        self._rows = 0
        self._digest = hashlib.sha256()

    @property
    def digest(self) -> str:
        """A hash of all lines that came, in their order."""
        return self._digest.hexdigest()

    def take(self, batches: Iterator[pa.RecordBatch]) -> int:
        """Write lines, and return how many they are."""
        before = self._rows
        for batch in batches:
            if not batch.num_rows:
                continue
            try:
                if self._writer is None:
                    self._writer = pq.ParquetWriter(self._objects.uri(self._partial), batch.schema, compression="zstd")
                self._writer.write_batch(batch)
            except OSError as error:
                raise file_error(error, self._path, "written") from error
            self._rows += batch.num_rows
            self._digest.update(repr(batch.to_pydict()).encode(errors="surrogatepass"))
            self._reasons.update(batch.column(batch.schema.get_field_index(REASONS)).flatten().to_pylist())
        return self._rows - before

    def close(self) -> Misfits | None:
        """Finish the file and make it durable; None where no line came."""
        if self._writer is None:
            return None
        target = self._objects.uri(self._partial)
        try:
            self._writer.close()
        except OSError as error:
            raise file_error(error, self._path, "written") from error
        sync_file(target)
        self._objects.adopt(target, self._path)
        self._objects.remove(self._partial)
        self._writer = None
        return Misfits(path=self._path, rows=self._rows, reasons=dict(sorted(self._reasons.items())))

    def clear(self) -> None:
        """Delete what was written; quiet about what is gone."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._objects.remove(self._partial)
        self._objects.remove(self._path)
