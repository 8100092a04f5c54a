"""Checks that the earlier loads suggest, tried on the later ones: as the pipeline would have run them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from penstock import names
from penstock.model.entries import Column, DataFile
from penstock.model.specs import CheckSpec
from penstock.queries.relations import FILE, ROW
from penstock.queries.text import identifiers
from penstock.stores.port import Objects
from penstock.suggest.recent import LOAD, PLACE, Recent
from penstock.suggest.suggestion import Suggestion
from penstock.validate.checking import Checking, CheckPorts, check
from penstock.validate.kinds.whole import PastLoad
from penstock.values import dataclass

_FILE = "recent"
"""What stands for the file of a load, whose rows have their place in it."""


@dataclass(frozen=True, slots=True)
class Backtest:
    """Recent loads, to be checked one by one.

    Attributes:
        recent: The loads.
        made: Turns a suggestion into a check.
        objects: The lake root; nothing is read or written there.
    """

    recent: Recent
    made: Callable[[Suggestion], CheckSpec]
    objects: Objects

    def failing(self, suggestions: Sequence[Suggestion], load: int) -> set[str]:
        """Return the names of the suggestions that a load fails, knowing the loads before it.

        Raises:
            PenstockError: One of them cannot be a check of these rows.
        """
        recent, interval = self.recent, self.recent.intervals[load]
        own = identifiers(recent.columns)
        before = f"(SELECT {own} FROM {recent.relation} WHERE {LOAD} < {load})"
        rows = f"SELECT {own}, '/{_FILE}' AS {FILE}, {PLACE} AS {ROW} FROM {recent.relation} WHERE {LOAD} = {load}"
        spec = Checking(
            table=recent.table,
            checks=tuple(map(self.made, suggestions)),
            relation=f"({rows})",
            columns=tuple(Column(name=name, type=type_) for name, type_ in recent.columns.items()),
            now=self._at(load),
            quarantine_path=None,
            tables={
                **recent.related,
                recent.table: before,
                recent.table.removeprefix(names.RAW_PREFIX): before,
            },
            files=(DataFile(path=_FILE, rows=recent.rows[load], bytes=0),),
            history=tuple(
                PastLoad(self._at(past), recent.rows[past], recent.intervals[past]) for past in reversed(range(load))
            ),
            interval=interval,
            examples=1,
            profiled=False,
        )
        receipt = check(spec, CheckPorts(connection=recent.connection, objects=self.objects))
        return {failure.check for failure in receipt.report.failures}

    def _at(self, load: int) -> datetime:
        interval = self.recent.intervals[load]
        return interval.end if interval is not None else datetime.now(UTC)
