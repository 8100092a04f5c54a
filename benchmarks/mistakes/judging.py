"""Who is asked whether a batch is right, and how well it did: a judge, its alarms, and the result of a round."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from typing import Any, TypeAlias, cast

import pyarrow.parquet as pq

from benchmarks.mistakes.batches import Batch, Batches, History
from benchmarks.mistakes.catalogue import MISTAKES
from benchmarks.mistakes.table import Fault


@dataclass(frozen=True, slots=True, order=True)
class Alarm:
    """What a judge has against a batch: the rule that was broken, the column, empty if it is the whole table."""

    rule: str
    column: str = ""


Judge: TypeAlias = Callable[[History, Batch], Sequence[Alarm]]
"""Looks at a batch with what is known before it, and at nothing else.

The first batches of a history, all but the last ``CLEAN`` of the table, are the same for each batch that is judged. A
judge that learns from them may keep what it learned, by the name of the table and the file of the batch.
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A mistake that was made in a batch, and the alarms that the clean batch did not raise."""

    mistake: str
    family: str
    table: str
    day: str
    seed: int
    alarms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FalseAlarm:
    """A clean batch that was not let through."""

    table: str
    day: str
    alarms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoundFault:
    """What the source itself got wrong in a batch, and the alarms that name its column: none if it was missed."""

    table: str
    day: str
    fault: str
    alarms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """Of one judge.

    Attributes:
        judge: Its name, ``module:function``.
        cases: The mistakes that were made, one at a time.
        impossible: Mistakes that none of the tables has a place for.
        clean: Table to how many clean batches were judged.
        false_alarms: Those of them that raised an alarm, but for what the source itself got wrong there.
        faults: What that is, of all of them.
        crashed: Table to what stopped its judging; of these tables nothing is known.
    """

    judge: str
    cases: tuple[Case, ...]
    impossible: tuple[str, ...]
    clean: dict[str, int]
    false_alarms: tuple[FalseAlarm, ...]
    faults: tuple[FoundFault, ...] = ()
    crashed: dict[str, str] = field(default_factory=dict)

    @property
    def missed(self) -> list[Case]:
        """The mistakes that raised no alarm."""
        return [case for case in self.cases if not case.alarms]

    def as_json(self) -> dict[str, Any]:
        """Return all of it, and the figures that it comes to."""
        return {
            "judge": self.judge,
            "made": len(self.cases),
            "caught": len(self.cases) - len(self.missed),
            "clean_batches": sum(self.clean.values()),
            "false_alarm_batches": len(self.false_alarms),
            **{name: value for name, value in asdict(self).items() if name != "judge"},
        }


def schema_and_emptiness(history: History, batch: Batch) -> Sequence[Alarm]:
    """Judge as little as can be: whether there are rows, and the columns are those of the batch before."""
    read, before = pq.ParquetFile(batch.file), pq.read_schema(history.batches[-1].file)
    alarms = [] if read.metadata.num_rows else [Alarm("rows")]
    alarms += [Alarm("column added", name) for name in read.schema_arrow.names if name not in before.names]
    for known in before:
        found = read.schema_arrow.get_field_index(known.name)
        if found < 0:
            alarms.append(Alarm("column missing", known.name))
        elif not read.schema_arrow.field(found).type.equals(known.type):
            alarms.append(Alarm("type", known.name))
    return alarms


def judge_of(name: str) -> Judge:
    """Return the judge that ``module:function`` names.

    Raises:
        LookupError: There is none.
    """
    module, _, function = name.partition(":")
    try:
        return cast("Judge", getattr(import_module(module), function))
    except (ImportError, AttributeError, ValueError) as error:
        raise LookupError(f"{name} is no judge: {error}. Name one as module:function") from error


def judged(
    batches: Batches, name: str, seeds: Sequence[int], *, everywhere: bool = False, only: Collection[str] = ()
) -> Result:
    """Let a judge look at clean batches and at batches with a mistake.

    Args:
        batches: Of the tables that are used.
        name: Of the judge.
        seeds: One round of all mistakes each; the table, the day, the place and the size follow from it.
        everywhere: Whether each mistake is made in each table that has a place for it, not in one of them.
        only: The tables that are judged; default: all. What is made where does not depend on it.
    """
    judge = judge_of(name)
    tables = [table for table in batches.tables if not only or table in only]
    found = {
        batch: tuple(sorted(judge(batches.before(batch), batch))) for table in tables for batch in batches.judged(table)
    }
    cases = tuple(
        Case(mistake, family, batch.table, batch.day, seed, _told(set(alarms) - set(found[batch])))
        for mistake, family, batch, seed, alarms in _hurt(batches, judge, seeds, everywhere, tables)
    )
    return Result(
        judge=name,
        cases=cases,
        impossible=_impossible(cases),
        clean=dict(Counter(batch.table for batch in found)),
        false_alarms=tuple(_false(batches, found)),
        faults=tuple(
            FoundFault(batch.table, batch.day, fault.about, _told({alarm for alarm in alarms if _names(alarm, fault)}))
            for batch, alarms in found.items()
            if (fault := batches.tables[batch.table].faults.get(batch.day)) is not None
        ),
    )


def _false(batches: Batches, found: Mapping[Batch, tuple[Alarm, ...]]) -> Iterator[FalseAlarm]:
    for batch, alarms in found.items():
        fault = batches.tables[batch.table].faults.get(batch.day)
        false = {alarm for alarm in alarms if fault is None or not _names(alarm, fault)}
        if false:
            yield FalseAlarm(batch.table, batch.day, _told(false))


def _names(alarm: Alarm, fault: Fault) -> bool:
    return fault.column == alarm.column or fault.column in alarm.rule


def merged(results: Sequence[Result]) -> Result:
    """Return results of one judge and the same seeds, of some tables each, as one."""
    order = {mistake.name: place for place, mistake in enumerate(MISTAKES)}
    tables = [table for result in results for table in result.clean]
    cases = sorted(
        (case for result in results for case in result.cases),
        key=lambda case: (case.seed, tables.index(case.table), order[case.mistake]),
    )
    return Result(
        judge=results[0].judge,
        cases=tuple(cases),
        impossible=_impossible(cases),
        clean={table: count for result in results for table, count in result.clean.items()},
        false_alarms=tuple(found for result in results for found in result.false_alarms),
        faults=tuple(found for result in results for found in result.faults),
    )


def _impossible(cases: Sequence[Case]) -> tuple[str, ...]:
    made = {case.mistake for case in cases}
    return tuple(mistake.name for mistake in MISTAKES if mistake.name not in made)


def _hurt(
    batches: Batches, judge: Judge, seeds: Sequence[int], everywhere: bool, tables: Collection[str]
) -> Iterator[tuple[str, str, Batch, int, Sequence[Alarm]]]:
    for seed in seeds:
        places = batches.places(seed, everywhere=everywhere)
        for batch, mistakes in places.items():
            for mistake in mistakes if batch.table in tables else ():
                hurt = batches.hurt(batch, mistake, seed)
                yield mistake.name, mistake.family, batch, seed, judge(batches.before(batch), hurt)
                hurt.file.unlink()


def _told(alarms: set[Alarm] | tuple[Alarm, ...]) -> tuple[str, ...]:
    return tuple(f"{alarm.rule}: {alarm.column}" if alarm.column else alarm.rule for alarm in sorted(alarms))
