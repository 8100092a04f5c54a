"""Runs, in words."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.cli.blocks import Block, Line, table
from penstock.cli.figures import count, duration, moment, plural, size
from penstock.model.answers import StreamLag
from penstock.model.entries import CheckFailure
from penstock.model.receipts import IngestReceipt, RunReceipt, State, StepReceipt

STATE_STYLE = {
    State.DONE: "good",
    State.UNCHANGED: "faint",
    State.REJECTED: "bad",
    State.FAILED: "bad",
    State.RUNNING: "warn",
    State.SKIPPED: "faint",
}
_MOST_FAILURES = 12
_MOST_NOTES = 10


def run(receipt: RunReceipt, *, summary: bool = False) -> list[Block]:
    """Word one run: its end, its steps by kind, what was rejected, what to know; a summary leaves its error out."""
    blocks: list[Block] = []
    steps = _steps(receipt.steps)
    if steps:
        blocks.append(steps)
    blocks += failures(receipt.steps)
    blocks += _notes(receipt.steps, besides=receipt.error)
    blocks.append(Line(_headline(receipt), STATE_STYLE[receipt.state]))
    if receipt.error and not summary:
        blocks.append(Line(receipt.error, "bad"))
    if receipt.state is State.REJECTED:
        blocks.append(Line("Mend the source, then: penstock retry. Or: penstock accept, penstock discard."))
    return blocks


def lags(streams: Sequence[StreamLag]) -> list[Block]:
    """Word how fresh streams are."""
    blocks: list[Block] = []
    for each in streams:
        if each.last is None or each.age is None:
            blocks.append(Line(f"{each.table} has brought nothing yet.", "faint"))
            continue
        usual = f", usually every {duration(each.interval)}" if each.interval is not None else ""
        most = f" (at most {duration(each.longest)} between two)" if each.longest is not None else ""
        late = each.longest is not None and each.age > 2 * each.longest
        line = f"{each.table}: committed {duration(each.age)} ago{usual}{most}"
        if each.lag is not None and each.lag_most is not None:
            line += f"; from message to row {duration(each.lag)}, at most {duration(each.lag_most)}"
        blocks.append(Line(line, "warn" if late else "strong"))
        if each.watermark is not None:
            blocks.append(Line(_events(each)))
        blocks.append(_partitions(each))
    return blocks


def _events(stream: StreamLag) -> str:
    """Word what is known of the event times of a stream."""
    line = f"  watermark {moment(stream.watermark)}" if stream.watermark else ""
    if stream.event_lag is not None and stream.event_lag_most is not None:
        line += f"; from event to row {duration(stream.event_lag)}, at most {duration(stream.event_lag_most)}"
    counted = ((stream.late, "late"), (stream.ahead, "in the future"), (stream.undated, "without an event time"))
    told = [f"{plural(rows, 'row')} {what}" for rows, what in counted if rows]
    return "; ".join([line, *told])


def _partitions(stream: StreamLag) -> Block:
    """Word how far the partitions of a stream are."""
    timed = any(part.event is not None for part in stream.partitions)
    rows = []
    for part in stream.partitions:
        row = [part.topic, part.partition, f"{part.following:,}", moment(part.newest) if part.newest else ""]
        rows.append((*row, moment(part.event) if part.event else "", count(part.late)) if timed else tuple(row))
    headings = ("topic", "partition", "goes on at", "newest message")
    return table((*headings, "newest event", ">late") if timed else headings, rows)


def runs(receipts: Sequence[RunReceipt]) -> list[Block]:
    """Word several runs."""
    rows = [
        (
            each.id,
            each.pipeline,
            each.command,
            each.state.value,
            count(_extracted(each.steps)),
            count(sum(step.quarantined for step in each.steps)),
            duration((each.finished - each.started).total_seconds()) if each.finished else "",
            each.error,
        )
        for each in receipts
    ]
    return [table(("run", "pipeline", "command", "state", ">rows", ">set aside", ">time", "error"), rows)]


def ingest(receipt: IngestReceipt) -> list[Block]:
    """Word what the one-liner did."""
    seconds = (receipt.run.finished - receipt.run.started).total_seconds() if receipt.run.finished else 0.0
    words = {State.DONE: "holds", State.UNCHANGED: "is up to date and holds"}.get(receipt.run.state, "keeps")
    blocks: list[Block] = [*failures(receipt.run.steps), *_notes(receipt.run.steps)]
    blocks.append(
        Line(
            f"{receipt.table} in {receipt.warehouse} {words} {plural(receipt.rows, 'row')} ({duration(seconds)}).",
            STATE_STYLE[receipt.run.state],
        )
    )
    if receipt.run.state is State.REJECTED:
        blocks.append(Line("The load was rejected; the table is as it was.", "bad"))
    if receipt.lake is not None:
        blocks.append(Line(f"The rows as they came are kept in {receipt.lake}.", "faint"))
    return blocks


def failures(steps: Sequence[StepReceipt]) -> list[Block]:
    """Word the checks that failed: those that reject, then those that warn; one line a check, however many loads."""
    groups: dict[tuple[str, str, str], list[tuple[StepReceipt, CheckFailure]]] = {}
    for step in steps:
        for failure in step.report.failures if step.report else ():
            groups.setdefault((failure.severity, step.table, failure.check), []).append((step, failure))
    found = sorted(groups.values(), key=lambda group: ("error", "quarantine", "warn").index(group[0][1].severity))
    blocks: list[Block] = [Line(_failure(group), _style(group[0][1])) for group in found[:_MOST_FAILURES]]
    if len(found) > _MOST_FAILURES:
        blocks.append(Line(f"… and {plural(len(found) - _MOST_FAILURES, 'failed check')} more.", "faint"))
    return blocks


def _failure(group: Sequence[tuple[StepReceipt, CheckFailure]]) -> str:
    step, failure = group[0]
    where = f"{step.table} {step.interval.label}" if step.interval else step.table
    word = {"error": "rejected", "quarantine": "set aside", "warn": "warning"}[failure.severity]
    sentence = failure.message.rstrip(".")
    if len(group) == 1:
        return f"{word}: {where}: {failure.check}: {sentence}."
    rows = plural(sum(other.count for _, other in group), "row")
    return f"{word}: {step.table}: {failure.check}: {rows} in {count(len(group))} loads, first {where}: {sentence}."


def _style(failure: CheckFailure) -> str:
    return {"error": "bad", "quarantine": "warn", "warn": "warn"}[failure.severity]


def _notes(steps: Sequence[StepReceipt], *, besides: str = "") -> list[Block]:
    told = ((f"{step.table}: ", note) for step in steps for note in step.notes if note not in besides)
    seen = dict.fromkeys(prefix + note.removeprefix(prefix) for prefix, note in told)
    notes: list[Block] = [Line(f"note: {note}", "faint") for note in list(seen)[:_MOST_NOTES]]
    if len(seen) > _MOST_NOTES:
        notes.append(Line(f"… and {plural(len(seen) - _MOST_NOTES, 'note')} more; --json shows all.", "faint"))
    return notes


def _headline(receipt: RunReceipt) -> str:
    seconds = (receipt.finished - receipt.started).total_seconds() if receipt.finished else None
    took = f" in {duration(seconds)}" if seconds is not None else f", begun {moment(receipt.started)}"
    name = f"{receipt.pipeline} {receipt.command}"
    if receipt.state is State.UNCHANGED:
        return f"{name}: everything is up to date{took}."
    intervals = len({step.interval for step in receipt.steps if step.interval})
    parts = [plural(_extracted(receipt.steps), "row") + " extracted"]
    if intervals > 1:
        parts.append(plural(intervals, "interval"))
    aside = sum(step.quarantined for step in receipt.steps)
    if aside:
        parts.append(f"{count(aside)} set aside")
    deleted = sum(step.deleted for step in receipt.steps)
    if deleted:
        parts.append(f"{count(deleted)} deleted")
    word = {
        State.DONE: "done",
        State.REJECTED: "a load was rejected",
        State.FAILED: "failed",
        State.RUNNING: "running",
    }.get(receipt.state, receipt.state.value)
    return f"{name}: {word}{took}: {', '.join(parts)}. Run {receipt.id}."


def _extracted(steps: Sequence[StepReceipt]) -> int:
    return sum(step.rows for step in steps if step.step.startswith("extract"))


def _steps(steps: Sequence[StepReceipt]) -> Block | None:
    groups: dict[str, list[StepReceipt]] = {}
    for step in steps:
        groups.setdefault(step.step, []).append(step)
    if not groups:
        return None
    rows = [
        (
            name,
            ", ".join(_states(several)),
            count(sum(step.rows for step in several)),
            size(sum(step.bytes for step in several)) if any(step.bytes for step in several) else "",
            count(aside) if (aside := sum(step.quarantined for step in several)) else "",
            count(deleted) if (deleted := sum(step.deleted for step in several)) else "",
            _checks(several),
            duration(sum(step.seconds for step in several)),
        )
        for name, several in groups.items()
    ]
    return table(("step", "state", ">rows", ">bytes", ">set aside", ">deleted", "checks", ">time"), rows)


def _states(steps: Sequence[StepReceipt]) -> list[str]:
    tally: dict[str, int] = {}
    for step in steps:
        tally[step.state.value] = tally.get(step.state.value, 0) + 1
    if len(steps) == 1:
        return list(tally)
    return [f"{number} {state}" for state, number in tally.items()]


def _checks(steps: Sequence[StepReceipt]) -> str:
    passed = sum(len(step.report.passed) for step in steps if step.report)
    failed = sum(len(step.report.failures) for step in steps if step.report)
    parts = [f"{passed} passed"] if passed or failed else []
    parts += [f"{failed} failed"] if failed else []
    words: dict[str, int] = {}
    for step in steps:
        if step.reconciled:
            words[step.reconciled] = words.get(step.reconciled, 0) + 1
    parts += list(words) if len(words) == 1 else [f"{number} {word}" for word, number in words.items()]
    return ", ".join(parts)
