"""The project as a whole, in words: status, doctor, a new project."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from penstock.cli.blocks import Block, Line, table
from penstock.cli.figures import count, duration, moment, plural, size
from penstock.cli.texts.runs import STATE_STYLE, failures
from penstock.model.answers import DoctorReport, Forgotten, PipelineStatus, ProjectStatus, RebuildReceipt

_MOST_ORPHANS = 20


def status(found: ProjectStatus) -> list[Block]:
    """Word how a project stands."""
    released = (
        f"release {found.release} of {moment(found.released_at)} UTC is in production"
        if found.release
        else "nothing is in production yet"
    )
    blocks: list[Block] = [Line(f"{found.name}: {released}.", "strong")]
    for pipeline in found.pipelines:
        blocks += _pipeline(pipeline)
    if found.waiting:
        blocks.append(Line("Waiting for you:", "strong"))
        blocks += [Line(f"  {sentence}", "warn") for sentence in found.waiting]
    else:
        blocks.append(Line("Nothing waits for you.", "good"))
    if found.places:
        blocks.append(table(("place", "path"), [(name, near(path)) for name, path in found.places.items()]))
    return blocks


def rebuilt(receipt: RebuildReceipt) -> list[Block]:
    """Word what a rebuild of the staging warehouse made."""
    blocks: list[Block] = []
    if receipt.tables:
        rows = [(each.table, each.kind, count(each.rows), count(each.entries)) for each in receipt.tables]
        blocks.append(table(("table", "kind", ">rows", ">loads or versions"), rows))
    for run in receipt.runs:
        blocks += failures(run.steps)
    if receipt.carried:
        blocks.append(Line(f"Carried over as they were: {', '.join(receipt.carried)}.", "faint"))
    blocks += [Line(note, "warn") for note in receipt.notes]
    if receipt.replaced:
        took = duration(receipt.seconds)
        blocks.append(
            Line(f"{near(receipt.warehouse)}: {plural(len(receipt.tables), 'table')} made anew in {took}.", "good")
        )
    else:
        blocks.append(Line(f"{near(receipt.warehouse)} was not replaced.", "bad"))
    return blocks


def doctor(report: DoctorReport) -> list[Block]:
    """Word what the doctor found and did."""
    blocks: list[Block] = [Line(sentence, "warn") for sentence in report.finished]
    blocks += [Line(sentence, "warn") for sentence in report.unread]
    if report.indexed:
        blocks.append(Line(f"The catalog was made anew: {plural(report.indexed, 'object')} indexed.", "good"))
    if report.orphans:
        shown = [(path, size(weight)) for path, weight in report.orphans[:_MOST_ORPHANS]]
        blocks.append(table(("nothing names it", ">bytes"), shown))
        if len(report.orphans) > _MOST_ORPHANS:
            blocks.append(Line(f"… and {count(len(report.orphans) - _MOST_ORPHANS)} more; --json lists all.", "faint"))
    whole = size(sum(weight for _, weight in report.orphans))
    if report.removed:
        blocks.append(Line(f"{plural(report.removed, 'object')} removed, {whole}.", "good"))
    elif report.orphans:
        blocks.append(
            Line(f"{plural(len(report.orphans), 'object')} ({whole}) can go: penstock doctor --clean", "warn")
        )
    elif not report.indexed and not report.unread:
        blocks.append(Line(f"{plural(report.checked, 'object')} looked at; all is well.", "good"))
    return blocks


def doctors(reports: Sequence[DoctorReport]) -> list[Block]:
    """Word several reports after one another."""
    return [block for report in reports for block in doctor(report)]


def forgotten(made: Forgotten) -> list[Block]:
    """Word what was removed at sources."""
    if not made.sentences:
        return [Line("Nothing of Penstock is there.")]
    return [Line(f"{sentence}.", "good") for sentence in made.sentences]


def template(receipt: Any) -> list[Block]:
    """Word a new project (a ``TemplateReceipt``)."""
    return [
        Line(f"{near(receipt.folder)} is a Penstock project now, with {plural(len(receipt.files), 'file')}.", "good"),
        Line(f"Next: {receipt.next}"),
    ]


def near(path: str) -> str:
    """Return a path as it is shortest from here."""
    relative = os.path.relpath(path) if os.path.isabs(path) else path
    return path if relative.startswith("..") else relative


def _pipeline(pipeline: PipelineStatus) -> list[Block]:
    run = pipeline.last_run
    blocks: list[Block] = [Line()]
    if run is None:
        blocks.append(Line(f"{pipeline.name}: has not run yet: penstock run {pipeline.name}", "warn"))
    else:
        ended = moment(run.finished or run.started)
        blocks.append(
            Line(f"{pipeline.name}: last {run.command} {run.state.value}, {ended} UTC.", STATE_STYLE[run.state])
        )
    if pipeline.intervals_done or pipeline.intervals_missing:
        missing = f", {count(pipeline.intervals_missing)} missing" if pipeline.intervals_missing else ""
        blocks.append(Line(f"{plural(pipeline.intervals_done, 'interval')} done{missing}."))
    rows = [
        (
            each.table,
            f"{each.kind}, {each.mode}" if each.mode else each.kind,
            str(each.number or ""),
            count(each.rows),
            count(each.quarantined) if each.quarantined else "",
            ", ".join(map(str, each.rejected)),
            each.event_time or "",
            moment(each.newest) if each.newest else "",
            str(each.production) if each.production is not None else "",
        )
        for each in pipeline.tables
    ]
    columns = (
        "table", "kind", ">version", ">rows", ">set aside", "rejected loads", "newest event", "newest (UTC)",
        ">in production",
    )  # fmt: skip
    with_children = [each for each in pipeline.tables if each.children]
    told = [Line(f"{each.table} has the child tables {', '.join(each.children)}.") for each in with_children]
    return [*blocks, table(columns, rows), *told]
