"""The verdict of a soak: what was hurt, what came, and by how much places differ from what was produced."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import duckdb
from crew import Crew


@dataclass(frozen=True)
class Asked:
    """How long and how much.

    Attributes:
        events: What is produced in that time.
        seconds: How long there is trouble.
        seed: Of what is drawn; it is printed.
    """

    events: int
    seconds: float
    seed: str

    @classmethod
    def of_environment(cls, events: int, seconds: float) -> Asked:
        """Return a long form, as ``PENSTOCK_SOAK_…`` say."""
        seed = os.environ.get("PENSTOCK_SOAK_SEED", f"{os.getpid()}")
        return cls(
            int(os.environ.get("PENSTOCK_SOAK_EVENTS", events)),
            float(os.environ.get("PENSTOCK_SOAK_SECONDS", seconds)),
            seed,
        )


@dataclass
class Verdict:
    """What came of a soak.

    Attributes:
        name: What was soaked.
        asked: How long and how much.
        hurts: How often each kind of trouble was made.
        begun: How many processes of Penstock were begun.
        endings: How those ended that nobody killed: exit codes, and how often.
        rows: By place, how many rows there are.
        lost: By place, how many rows are missing.
        foreign: By place, how many rows are too many: doubled, or never produced.
        peak: The greatest memory of one process and all below it, MiB.
        drained: Seconds from the end of the trouble until everything was there.
    """

    name: str
    asked: Asked
    hurts: Mapping[str, int] = field(default_factory=dict)
    begun: int = 0
    endings: Mapping[int, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    foreign: dict[str, int] = field(default_factory=dict)
    peak: int = 0
    drained: float = 0.0

    def compare(self, connection: duckdb.DuckDBPyConnection, place: str, expected: str, found: str) -> None:
        """Compare two queries as multisets, both ways, in one query."""
        lost, foreign, rows = connection.execute(
            f"WITH expected AS ({expected}), found AS ({found}) SELECT "
            "(SELECT count(*) FROM (FROM expected EXCEPT ALL FROM found)), "
            "(SELECT count(*) FROM (FROM found EXCEPT ALL FROM expected)), (SELECT count(*) FROM found)"
        ).fetchall()[0]
        self.lost[place], self.foreign[place], self.rows[place] = lost, foreign, rows

    def crews(self, crews: Iterable[Crew]) -> None:
        """Take over what is known of processes."""
        for crew in crews:
            self.begun += crew.begun
            self.endings = {**self.endings, **{code: self.endings.get(code, 0) + n for code, n in crew.endings.items()}}
            self.peak = max(self.peak, crew.peak >> 20)

    def tell(self, folder: Path) -> None:
        """Write it beside its diary, and print it."""
        line = json.dumps(asdict(self))
        (folder / f"{self.name}-verdict.json").write_text(line + "\n")
        if "PENSTOCK_CRASH_TALLY" in os.environ:
            with open(os.environ["PENSTOCK_CRASH_TALLY"], "a") as tally:
                tally.write(f"soaked {line}\n")
        print(line)

    @property
    def equal(self) -> bool:
        """Nothing is lost, and nothing is too much, anywhere."""
        return bool(self.rows) and not any(self.lost.values()) and not any(self.foreign.values())


def lake_files(table: Path) -> str:
    """Return what reads the files that count of a table of a lake."""
    from deltalake import DeltaTable

    listed = DeltaTable(str(table)).file_uris()
    return f"read_parquet({listed!r}, union_by_name = true)"
