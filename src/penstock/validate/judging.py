"""Judging: what was measured, one check after the other, and which rows are set aside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import duckdb

from penstock.errors import ConfigurationError, DataError
from penstock.model.entries import CheckFailure
from penstock.model.interval import Interval
from penstock.model.specs import Severity
from penstock.queries.text import identifier
from penstock.stores.port import Objects
from penstock.validate import quarantine
from penstock.validate.bound import Bound
from penstock.validate.findings import Reporter
from penstock.validate.functions import Answer, Call, ask, positions
from penstock.validate.kinds import figures, ordering, similarity, uniqueness, whole
from penstock.validate.kinds.whole import PastLoad
from penstock.validate.measuring import Measured
from penstock.validate.rows import POSITION, Rows
from penstock.values import dataclass

if TYPE_CHECKING:
    import pyarrow as pa

_REPETITIONS = 0.95
"""The share of distinct values below which an approximate count speaks of repetitions: four times its error."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known beside the rows: the moment, the loads before (newest first), the interval that the rows cover."""

    now: datetime
    history: Sequence[PastLoad] = ()
    interval: Interval | None = None


class Judge:
    """Judges one check after the other, and remembers which SQL finds the rows to set aside.

    Attributes:
        failing: Check to SQL that is true for the rows that it sets aside.
        tolerated: Check to the rows that failed it within what its ``at_most`` allows.
    """

    def __init__(self, rows: Rows, measured: Measured, reporter: Reporter, known: Circumstances) -> None:
        self.failing: dict[str, str] = {}
        self.tolerated: dict[str, int] = {}
        self._rows = rows
        self._measured = measured
        self._reporter = reporter
        self._known = known
        self._tables: dict[str, pa.Table] = {}
        self._examples: dict[int, list[Mapping[str, Any]]] = {}

    def judge_all(self, checks: Sequence[Bound]) -> dict[str, CheckFailure | None]:
        """Return what each check found, None if it held or was skipped."""
        measured = self._measured
        listed = [index for index, count in measured.failed.items() if count and index not in measured.skipped]
        first = self._reporter.examples([checks[index] for index in listed], measured.places) if measured.places else []
        self._examples = {index: shown for index, shown in zip(listed, first, strict=False) if shown}
        missing = [index for index in listed if index not in self._examples]
        rest = self._reporter.examples([checks[index] for index in missing], ())
        self._examples |= dict(zip(missing, rest, strict=True))
        return {check.spec.name: self._judge(index, check) for index, check in enumerate(checks)}

    def _judge(self, index: int, check: Bound) -> CheckFailure | None:
        measured = self._measured
        if index in measured.skipped:
            return None
        if index in measured.broken:
            return self._reporter.broken(check, measured.broken[index])
        of = measured.looked.get(index, measured.rows)
        match check.spec.kind:
            case "row_count" | "volume" | "arrives" | "schema" | "reconciles" | "query" | "quarantined":
                return self._whole(check, of)
            case "fresh" | "statistic" | "correlation" | "aggregate":
                return self._figure(check, measured.figures[index], of)
            case "no_gaps":
                count, longest = ordering.gaps(self._rows, check, self._reporter.limit) if of else (0, [])
                return self._reporter.gaps(check, count, longest) if count else None
            case "unique" if check.figure:
                return self._approximate(check, measured.figures[index], of)
            case "function" | "validator":
                found = self._call(index, check) if of else None
            case "unique" | "increasing" | "no_near_duplicates":
                found = self._together(index, check, of) if of else None
            case _:
                count = measured.failed[index]
                found = self._reporter.failing(check, count, of, self._examples[index]) if count else None
                if found is not None:
                    self._remember(check, check.guarded)
        return None if found is None else self._within(check, found, of)

    def set_aside(self, objects: Objects, path: str, replayed: str | None) -> int:
        """Write the quarantine and return how many rows it holds."""
        connection = self._rows.connection
        with self._rows.registered():
            try:
                for name, table in self._tables.items():
                    connection.register(name, table)
                return quarantine.write(self._rows, self.failing, objects, path, replayed)
            finally:
                for name in self._tables:
                    connection.unregister(name)

    def overflowing(self, check: Bound, quarantined: int) -> CheckFailure | None:
        """Return the finding of a ``quarantined`` check, once it is known how many rows were set aside."""
        allowed = _allowed(check, self._measured.rows)
        if quarantined <= allowed:
            return None
        said = f"{quarantined:,} of {self._measured.rows:,} rows were set aside, expected at most {_limit(check)}"
        return self._reporter.whole(check, said)

    def _whole(self, check: Bound, of: int) -> CheckFailure | None:
        known = self._known
        match check.spec.kind:
            case "row_count":
                return self._reporter.whole(check, whole.counted(check, of))
            case "volume":
                return self._reporter.whole(check, whole.usual(check, of, known.history, known.interval))
            case "arrives":
                return self._reporter.whole(check, whole.arrived(check, known.now, known.history))
            case "schema":
                return self._reporter.whole(check, whole.shaped(check, self._rows))
            case "reconciles":
                return self._reporter.whole(check, whole.reconciled(check, self._rows, bool(self._reporter.personal)))
            case "query":
                found = self._reporter.queried(check)
                return None if found is None else self._within(check, found, of)
        return None

    def _figure(self, check: Bound, value: float | None, of: int) -> CheckFailure | None:
        # Which columns an aggregate reads is not known.
        of_any = check.spec.kind == "aggregate"
        hidden = bool(
            self._reporter.personal if of_any else {n.lower() for n in check.columns} & self._reporter.personal
        )
        if check.spec.kind == "fresh":
            newest = None if value is None else int(value)
            return self._reporter.whole(check, figures.aged(check, newest, self._known.now, hidden))
        return self._reporter.whole(check, figures.judged(check, value, hidden)) if of else None

    def _approximate(self, check: Bound, distinct: int, of: int) -> CheckFailure | None:
        if not of or distinct >= _REPETITIONS * of:
            return None
        said = f"{', '.join(check.columns)} has about {distinct:,} different values in {of:,} rows"
        return self._reporter.whole(check, said)

    def _together(self, index: int, check: Bound, of: int) -> CheckFailure | None:
        """Judge what looks at several rows; which ones fail is found again when they are set aside."""
        rows, reporter = self._rows, self._reporter
        if check.spec.kind == "unique":
            repeating = f"_penstock_repeating_{index}"
            count = uniqueness.count(rows, check, repeating)
            self._remember(check, f"{POSITION} IN ({uniqueness.repeated(rows, check, repeating)})" if count else "")
            shown = uniqueness.examples(check, repeating, reporter.limit)
            return reporter.repeating(check, count, of, shown) if count else None
        with rows.registered():
            if check.spec.kind == "increasing":
                count = ordering.falling(rows, check)
                self._remember(check, f"{POSITION} IN ({ordering.falling_positions(rows, check)})" if count else "")
                return reporter.falling(check, count, of) if count else None
            try:
                texts = similarity.alike(rows, check)
            except DataError as error:
                return reporter.broken(check, error)
        if not texts.num_rows:
            return None
        name = f"_penstock_alike_{index}"
        fails = f"CAST({identifier(check.columns[0])} AS VARCHAR) IN (SELECT text FROM {name})"
        self._tables[name] = texts
        alike = replace(check, fails=fails)
        self._remember(check, alike.guarded)
        rows.connection.register(name, texts)
        try:
            query = f"SELECT count(*) FROM {rows.sql(check.reads)} WHERE {alike.guarded}"
            ((count,),) = rows.connection.execute(query).fetchall()
        finally:
            rows.connection.unregister(name)
        return reporter.alike(check, texts, int(count), of)

    def _call(self, index: int, check: Bound) -> CheckFailure | None:
        function = check.spec.function if check.spec.kind == "function" else check.spec.function.validate
        columns = check.columns or tuple(column.name for column in self._rows.columns)
        try:
            answer: Answer = ask(Call(function, check.frame, columns, check.where), self._rows, self._reporter.limit)
        except (duckdb.IOException, ConfigurationError):
            raise
        except Exception as error:
            return self._reporter.broken(check, error)
        if answer.places is not None and check.spec.severity is Severity.QUARANTINE:
            name = f"_penstock_failed_{index}"
            self._tables[name] = positions(answer.places, self._rows)
            self._remember(check, f"{POSITION} IN (SELECT {POSITION} FROM {name})")
        return self._reporter.answered(check, answer)

    def _remember(self, check: Bound, fails: str) -> None:
        if fails and check.spec.severity is Severity.QUARANTINE:
            self.failing[check.spec.name] = fails

    def _within(self, check: Bound, found: CheckFailure, of: int) -> CheckFailure | None:
        """Return a finding as what it is beside the limit of its check: nothing, itself, or an error."""
        if check.says("at_most") is None or found.severity != check.spec.severity.value:
            return found
        over = found.count > _allowed(check, of)
        if check.spec.severity is not Severity.QUARANTINE:
            if over:
                return replace(found, message=f"{found.message}, expected at most {_limit(check)}")
            self.tolerated[check.spec.name] = found.count
            return None
        if not over:
            return found
        return replace(found, severity="error", message=f"{found.message}: more than the {_limit(check)} that may fail")


def _allowed(check: Bound, of: int) -> float:
    at_most = check.says("at_most")
    return float(at_most * of if isinstance(at_most, float) else at_most)


def _limit(check: Bound) -> str:
    at_most = check.says("at_most")
    if isinstance(at_most, float):
        return f"{100 * at_most:.4g} %"
    return f"{at_most:,} {'row' if at_most == 1 else 'rows'}"
