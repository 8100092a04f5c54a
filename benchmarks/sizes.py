"""How large the cases are, and what they give."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import Line

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Sizes:
    """How many rows each case takes; ``aged_in`` is the folder in which aging keeps its table, None one of its own."""

    postgres: int = 6_000_000
    csv: int = 19_000_000
    small: int = 10_000
    nested: int = 1_000_000
    merge: tuple[int, ...] = (1_000_000, 10_000_000)
    changed: int = 100_000
    checked: int = 20_000_000
    drifting: tuple[int, int] = (5_000_000, 1_000_000)
    tables: tuple[int, int] = (20, 1000)
    promoted: tuple[int, tuple[int, int]] = (100, (1_000, 100_000))
    events: int = 1_000_000
    posted: int = 50_000
    changes: int = 1_000_000
    living: tuple[int, int] = (60, 20_000)
    aged: tuple[int, int] = (20_000, 2_000)
    aged_in: str | None = None


SMALL = Sizes(
    postgres=3000,
    csv=3000,
    small=200,
    nested=2000,
    merge=(2000,),
    changed=200,
    tables=(4, 8),
    promoted=(3, (10, 1_000)),
    checked=100_000,
    drifting=(20_000, 10_000),
    events=5_000,
    posted=500,
    changes=5_000,
    living=(8, 500),
    aged=(125, 20),
)


@dataclass(frozen=True)
class Table:
    """What a case gave: its lines, and a sentence or two beneath."""

    title: str
    rows: int
    lines: list[Line]
    note: str = ""
