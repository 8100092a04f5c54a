"""Lineage, in words."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.cli.blocks import Block, Line, table
from penstock.cli.figures import count, moment, plural
from penstock.model.lineage import LineageReport, LineageStep

_MOST = 20
"""Files, or lines of code, that are shown of one table."""


def lineage(report: LineageReport) -> list[Block]:
    """Word what made a table: its steps table by table, its columns, files and code, the releases that served it."""
    of = f"{report.table}.{report.column}" if report.column else report.table
    then = f" at the end of run {report.run}" if report.run else ""
    blocks: list[Block] = [
        Line(f"{of} stood at {report.number} on {moment(report.as_of)} UTC{then}. Made of:", "strong")
    ]
    tables: dict[str, list[LineageStep]] = {}
    for step in report.steps:
        tables.setdefault(step.table, []).append(step)
    blocks.append(
        table(
            ("table", "kind", "numbers", ">rows", "runs", "checks", "said by"),
            [_row(steps) for steps in tables.values()],
        )
    )
    origins = [
        (name, column, ", ".join(read) or "no column")
        for name, steps in tables.items()
        for column, read in _columns(steps).items()
    ]
    if origins:
        blocks.append(table(("table", "column", "comes from"), origins))
    for name, steps in tables.items():
        blocks += _listed(f"{name} read:", [file for step in steps for file in step.read])
        blocks += _listed(f"{name} was scored by:", [step.scored for step in steps if step.scored])
        blocks += _listed(f"The code of {name}:", steps[-1].code.splitlines())
        blocks += _listed(f"Checks of {name} found:", [sentence for step in steps for sentence in step.failed])
    for release in report.releases:
        approved = f", approved by {release.approved_by}" if release.approved_by else ""
        why = f": {release.reason}" if release.reason else ""
        blocks.append(
            Line(f"Release {release.number} of {moment(release.created_at)} UTC by {release.by}{approved}{why}", "good")
        )
    if not report.releases:
        blocks.append(Line("No release has served it.", "faint"))
    return blocks


def _row(steps: Sequence[LineageStep]) -> tuple[str, ...]:
    numbers = sorted(step.number for step in steps)
    runs = list(dict.fromkeys(step.run for step in steps if step.run))
    passed, failed = (sum(len(each) for each in (getattr(s, name) for s in steps)) for name in ("passed", "failed"))
    aside = sum(step.quarantined for step in steps)
    return (
        steps[0].table,
        steps[0].kind,
        f"{numbers[0]} … {numbers[-1]} ({len(numbers)})" if len(numbers) > 1 else str(numbers[0]),
        count(sum(step.rows for step in steps)),
        runs[0] if len(runs) == 1 else plural(len(runs), "run") if runs else "",
        f"{passed} passed, {failed} failed" + (f", {plural(aside, 'row')} set aside" if aside else ""),
        "; ".join(dict.fromkeys(step.accepted_by for step in steps if step.accepted_by)),
    )


def _columns(steps: Sequence[LineageStep]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for step in steps:
        for column, origins in step.columns.items() if step.kind == "version" else ():
            known = found.setdefault(column, [])
            known += [origin for origin in origins if origin not in known]
    return found


def _listed(title: str, lines: Sequence[str]) -> list[Block]:
    lines = list(dict.fromkeys(lines)) if not title.startswith("The code") else list(lines)
    if not lines:
        return []
    blocks: list[Block] = [Line(title, "strong"), *(Line(f"  {line}".rstrip(), "faint") for line in lines[:_MOST])]
    if len(lines) > _MOST:
        blocks.append(Line(f"  … and {len(lines) - _MOST} more; --json.", "faint"))
    return blocks
