"""The budget of memory: the one rule by which a cap on the whole process is divided among those who hold rows.

```text
cap (project.memory, 1 GiB) ─┬─ GROUND: the interpreter and the libraries, whatever is done
                             ├─ reading: half of the rest, no more than it has use for
                             │     └─ shared equally by the sources that are read at once
                             │           ├─ batches: what is read ahead, being read, and in hand
                             │           └─ chunks: what is gathered, converted and being encoded as Parquet
                             └─ engine: all else; DuckDB spills to disk beyond it
```
"""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_CAP = 2**30
GROUND = 320 * 2**20
"""What a run was measured to take before it holds a row: Python, DuckDB, Arrow, Delta, and what they keep for good."""
LEAST_CAP = 512 * 2**20
"""Less than this leaves no room for a batch and a join."""

_BATCH, _CHUNK = 16 * 2**20, 32 * 2**20
_BATCHES, _CHUNKS = 5, 5
"""How many of each a source at work may hold at once; see ``extract.postgres_stream`` and ``land.intake``."""
_SOURCE = _BATCHES * _BATCH + _CHUNKS * _CHUNK
_MOST_READING = 4 * _SOURCE
"""Four sources with batches and chunks of full size."""


@dataclass(frozen=True, slots=True)
class ReadingShare:
    """What one source at work may hold.

    Attributes:
        batch: About how many bytes a batch may have.
        chunk: Bytes of rows that are written together, as one row group.
    """

    batch: int = _BATCH
    chunk: int = _CHUNK


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """A cap, divided.

    Attributes:
        cap: Bytes that the process and its children may hold, as the sum of resident pages.
    """

    cap: int = DEFAULT_CAP

    @property
    def engine(self) -> int:
        """Return the bytes that DuckDB may hold before it spills."""
        return self.cap - GROUND - self._reading

    def reading(self, sources: int) -> ReadingShare:
        """Return the share of each of some sources that are read at once."""
        part = min(1.0, self._reading / (max(1, sources) * _SOURCE))
        return ReadingShare(int(_BATCH * part), int(_CHUNK * part))

    @property
    def _reading(self) -> int:
        return min((self.cap - GROUND) // 2, _MOST_READING)
