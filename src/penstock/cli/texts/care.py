"""Compaction and vacuum, in words."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.cli.blocks import Block, Line, table
from penstock.cli.figures import count, moment, plural, size
from penstock.cli.texts.places import near
from penstock.model.answers import CompactionReport, VacuumReport

_MOST_FILES = 20


def compacted(reports: Sequence[CompactionReport]) -> list[Block]:
    """Word what became of the small files of some tables."""
    rows = [
        (
            each.table,
            count(each.replaced),
            count(each.written),
            count(each.rows),
            size(each.bytes_before),
            size(each.bytes_after),
            count(each.files),
        )
        for each in reports
    ]
    columns = ("table", ">small files", ">became", ">rows", ">bytes before", ">after", ">files now")
    replaced = sum(each.replaced for each in reports)
    if not replaced:
        return [table(columns, rows), Line("No closed window has small files.", "good")]
    became = plural(sum(each.written for each in reports), "file")
    return [
        table(columns, rows),
        Line(f"{plural(replaced, 'small file')} became {became}; penstock vacuum frees the old ones.", "good"),
    ]


def vacuumed(report: VacuumReport) -> list[Block]:
    """Word what vacuum removed, or would remove, and why other files stayed."""
    blocks: list[Block] = []
    if report.dry_run and report.removed:
        blocks.append(table(("would go", ">bytes"), [(near(p), size(b)) for p, b in report.removed[:_MOST_FILES]]))
        if len(report.removed) > _MOST_FILES:
            blocks.append(Line(f"… and {count(len(report.removed) - _MOST_FILES)} more; --json lists all.", "faint"))
    if report.kept:
        blocks.append(table(("kept because", ">files"), [(why, count(n)) for why, n in report.kept.items()]))
    verb, others = ("would go", "would go too") if report.dry_run else ("removed", "removed too")
    if report.logs:
        blocks.append(Line(f"{plural(report.logs, 'file')} of Delta logs removed: a checkpoint holds what they said."))
    if report.spills:
        blocks.append(Line(f"{plural(len(report.spills), 'folder')} left by killed processes {others}."))
    blocks.append(
        Line(
            f"{plural(len(report.removed), 'data file')} {verb}, {size(report.freed)}; "
            f"looked at what had ceased to count before {moment(report.before)} UTC.",
            "warn" if report.dry_run and report.removed else "good",
        )
    )
    return blocks
