"""The budget of memory: the one rule by which a cap on the whole process is divided among those who hold rows.

```text
cap (project.memory, 1 GiB) ─┬─ GROUND: the interpreter and the libraries, whatever is done
                             └─ engine: all else; DuckDB spills to disk beyond it. It lends of it (stores.engine):
                                  ├─ to sources, as long as they are read: at most half, shared equally by those at once
                                  │     ├─ batches: what is read ahead, being read, and in hand
                                  │     └─ chunks: what is gathered, converted and being encoded as Parquet
                                  └─ to nobody, while rows only stream into the warehouse: what was written need not
                                        stay in memory, so the peak does not grow with the table
```
"""

from __future__ import annotations

from penstock.model.sizes import parse_size
from penstock.values import dataclass

DEFAULT_CAP = 2**30
GROUND = 320 * 2**20
"""What a run was measured to take before it holds a row: Python, DuckDB, Arrow, Delta, and what they keep for good."""
LEAST_CAP = 512 * 2**20
"""Less than this leaves no room for a batch and a join."""

_BATCH, _CHUNK = 8 * 2**20, 32 * 2**20
_HELD = 5
"""How many of each a source at work may hold at once; see ``extract.postgres_stream`` and ``land.intake``."""
_STREAM = 24 * 2**20
_COLUMN = 2**20
"""What DuckDB holds of a column that it writes: two blocks of 256 KiB by each of two threads."""
_INSERTED = 8 * 2**20
"""What DuckDB wants to have of a column for each thread that inserts: 4 MiB out of half of its memory.

With less of it, one thread inserts and the others stand still. (Measured: 240 MiB for 15 columns and two threads.)
"""
_ADDED = 3
"""Columns that the warehouse has beside those of a load."""
_KEPT, _TOGETHER = 6000, 122_880
"""Bytes that DuckDB keeps beyond its own count of each column of so many rows, until the transaction ends.

(Measured: 27 MiB for 30 million rows of 19 columns.)
"""
_WIDE = 3
"""How many times of that is left free where the columns take all that the engine has.

(Measured: with nothing left free, 600 columns of 500,000 rows took 17 MiB more than the cap.)
"""
_GROUPS = 4
"""Row groups that stream at once: one being read and one being written, by each of two threads."""


def cap(given: int | str | None, where: str = "memory") -> int:
    """Return a cap as people write it, as ``2GiB``, in bytes; the default where nothing is given.

    Raises:
        ConfigurationError: It is no size, or leaves no room to work.
    """
    return DEFAULT_CAP if given is None else parse_size(given, where, LEAST_CAP)


@dataclass(frozen=True, slots=True)
class ReadingShare:
    """What one source at work may hold.

    Attributes:
        batch: About how many bytes a batch may have.
        chunk: Bytes of rows that are written together, as one row group.
    """

    batch: int = _BATCH
    chunk: int = _CHUNK

    @property
    def held(self) -> int:
        """Return the bytes that batches and chunks take together."""
        return _HELD * (self.batch + self.chunk)


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """A cap, divided.

    Attributes:
        cap: Bytes that the process and its children may hold, as the sum of resident pages.
    """

    cap: int = DEFAULT_CAP

    @property
    def engine(self) -> int:
        """Return the bytes that DuckDB may hold while it lends nothing."""
        return self.cap - GROUND

    def reading(self, sources: int) -> ReadingShare:
        """Return the share of each of some sources that are read at once."""
        part = min(1.0, self.engine / 2 / (max(1, sources) * ReadingShare().held))
        return ReadingShare(int(_BATCH * part), int(_CHUNK * part))

    def streaming(self, rows: int, columns: int, group: int, threads: int = 2) -> tuple[int, int]:
        """Return the bytes that DuckDB wants before all its threads insert rows of files, and those that it then needs.

        The second are fewer by what it keeps of many rows without counting it, so that the process takes no more.

        Args:
            rows: How many rows the load has.
            columns: How many columns it has.
            group: Bytes of its largest row group.
            threads: How many threads DuckDB has.
        """
        inserted = _INSERTED * threads * (columns + _ADDED)
        flowing = _STREAM + _GROUPS * group + _COLUMN * columns
        kept = _KEPT * (columns + _ADDED) * rows // _TOGETHER
        spared = min(_WIDE * kept, self.engine // 8)
        held = min(self.engine - spared, max(flowing, inserted * 2 // 3 - kept))
        return max(held, min(self.engine, inserted)), held
