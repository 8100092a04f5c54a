"""Event times of a micro-batch: how far its partitions are, how many of its rows are late, and the watermark after it.

One query for each batch of rows, over one column. What comes of it stands in the load's position.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime

import pyarrow as pa

from penstock.model.event_time import Lateness, Progress, Seen, microseconds
from penstock.model.streams import Positions
from penstock.queries.moments import moment
from penstock.stores.port import Engine
from penstock.values import dataclass

_BATCH = "_penstock_events"


@dataclass(slots=True)
class _Brought:
    """What the batches of one partition brought."""

    greatest: int | None = None
    oldest: int | None = None
    late: int = 0


@dataclass(kw_only=True)
class EventTimes:
    """Looks at the event times of one micro-batch, batch by batch, while it is landed.

    Attributes:
        table: The stream, for messages.
        column: The column that holds them.
        lateness: What is late, and what is idle.
        since: What was known before.
        now: The moment of the micro-batch.
        ends: What is known to be at the source: a partition that is not read up to there is not idle.
        engine: Where the question is asked.
    """

    table: str
    column: str
    lateness: Lateness
    since: Progress
    now: datetime
    ends: Positions
    engine: Engine
    _brought: dict[tuple[str, str], _Brought] = field(default_factory=dict)
    _ahead: int = 0
    _undated: int = 0

    def begin(self) -> None:
        """Forget what batches have brought: they come again."""
        self._brought, self._ahead, self._undated = {}, 0, 0

    def take(self, topic: str, partition: str, rows: pa.RecordBatch) -> None:
        """Look at rows of one partition; what is no moment in them is counted, and stops nothing."""
        brought = self._brought.setdefault((topic, partition), _Brought())
        place = next((i for i, name in enumerate(rows.schema.names) if name.lower() == self.column.lower()), None)
        if place is None or pa.types.is_null(rows.schema.types[place]):
            self._undated += rows.num_rows
            return
        greatest, oldest, late, ahead, undated = self._asked(pa.table([rows.columns[place]], ["moment"]))
        self._ahead += ahead
        self._undated += undated
        brought.late += late
        brought.greatest = max((each for each in (brought.greatest, greatest) if each is not None), default=None)
        brought.oldest = min((each for each in (brought.oldest, oldest) if each is not None), default=None)

    def _asked(self, column: pa.Table) -> tuple[int | None, int | None, int, int, int]:
        limit = microseconds(self.now + self.lateness.ahead)
        late = f"d < {self.since.watermark}" if self.since.watermark is not None else "false"
        with self.engine.session() as connection:
            connection.register(_BATCH, column)
            try:
                found = connection.execute(
                    f"SELECT max(d) FILTER (d <= {limit}), min(d), count(*) FILTER ({late}), "
                    f"count(*) FILTER (d > {limit}), count(*) FILTER (d IS NULL) "
                    f"FROM (SELECT epoch_us({moment('moment')}) AS d FROM {_BATCH})"
                ).fetchall()
            finally:
                connection.unregister(_BATCH)
        greatest, oldest, *counted = found[0]
        return greatest, oldest, counted[0], counted[1], counted[2]

    def progress(self, positions: Positions) -> Progress:
        """Return what is known after the micro-batch.

        Args:
            positions: Where each partition goes on after it.
        """
        moved = microseconds(self.now)
        known = {
            topic: {name: replace(seen, late=0, oldest=None) for name, seen in each.items()}
            for topic, each in self.since.partitions.items()
        }
        for (topic, partition), brought in sorted(self._brought.items()):
            before = known.setdefault(topic, {}).get(partition)
            greatest = [each for each in (before.greatest if before else None, brought.greatest) if each is not None]
            known[topic][partition] = Seen(
                greatest=max(greatest, default=None), moved=moved, late=brought.late, oldest=brought.oldest
            )
        return Progress(
            watermark=self._watermark(known, positions),
            before=self.since.watermark,
            ahead=self._ahead,
            undated=self._undated,
            partitions=known,
        )

    def _watermark(self, known: Mapping[str, Mapping[str, Seen]], positions: Positions) -> int | None:
        before, idle = self.since.watermark, microseconds(self.now - self.lateness.idle)
        behind = {
            (topic, name)
            for topic, each in self.ends.items()
            for name, end in each.items()
            if positions.get(topic, {}).get(name, 0) < end
        }
        if any(known.get(topic, {}).get(name) is None for topic, name in behind):
            # Nothing of it is read yet: its events may be older than all others.
            return before
        held = [
            seen.greatest
            for topic, each in known.items()
            for name, seen in each.items()
            if seen.greatest is not None and (seen.moved >= idle or (topic, name) in behind)
        ]
        if not held:
            return before
        reached = min(held) - microseconds(self.lateness.allowed)
        return reached if before is None else max(before, reached)

    def notes(self) -> tuple[str, ...]:
        """Return a sentence for each thing about event times that somebody should hear of."""
        told = []
        if self._ahead:
            told.append(
                f"{self._ahead} rows of {self.table} lie in the future, beyond {self.lateness.ahead} from now: "
                "they do not move the watermark"
            )
        if self._undated:
            told.append(
                f"{self._undated} rows of {self.table} have no event time in {self.column!r}: no moment, "
                "no date, and no text as 2026-11-22T05:00:00Z"
            )
        return tuple(told)
