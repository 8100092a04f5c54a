"""Words for the report on a table."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.cli.blocks import Block, Line, shortened, table
from penstock.cli.figures import count, plural
from penstock.cli.texts.profiles import bars
from penstock.model.reports import CheckLine, TableReport


def report(found: TableReport) -> list[Block]:
    """Word what the checks of a table found, with the trend of each."""
    blocks: list[Block] = [Line(heading(found), "strong"), Line(summary(found), _style(found))]
    rows = [
        (
            line.result,
            line.check,
            count(line.rows) if line.rows else "",
            share(line.share) if line.rows else "",
            spark(line.trend),
            line.message,
        )
        for line in found.checks
    ]
    if rows:
        blocks.append(table(("result", "check", ">rows", ">share", "trend", "found"), rows))
    for line in found.checks:
        blocks += _failed(line)
    if found.profile is not None:
        shapes = [(each.column, each.kind, bars(each.histogram)) for each in found.profile.columns if each.histogram]
        if shapes:
            blocks.append(table(("column", "kind", "values"), shapes))
    return blocks


def heading(found: TableReport) -> str:
    """Return what is reported on, as ``orders, load 7 of 2024-01-03: accepted, 200 rows``."""
    kind = "version" if found.verdict == "version" else "load"
    of = f" of {found.label}" if found.label else ""
    verdict = "" if kind == "version" else f": {found.verdict}"
    return f"{found.table}, {kind} {found.number}{of}{verdict}, {plural(found.rows, 'row')}."


def summary(found: TableReport) -> str:
    """Return in a sentence how many checks held."""
    if not found.checks:
        return "It has no checks."
    failed = [line for line in found.checks if line.result not in ("passed", "skipped")]
    if not failed:
        return f"All {plural(len(found.checks), 'check')} held."
    named = ", ".join(shortened(line.check, 40) for line in failed[:5]) + (" …" if len(failed) > 5 else "")
    aside = f" {plural(found.quarantined, 'row')} set aside." if found.quarantined else ""
    return f"{len(failed)} of {plural(len(found.checks), 'check')} failed: {named}.{aside}"


def share(value: float) -> str:
    """Return a share of the rows as a percentage; one that is not nothing is never shown as nothing."""
    percent = 100 * value
    return "< 0.01 %" if 0 < percent < 0.01 else f"{percent:.2f} %" if percent < 1 else f"{percent:.1f} %"


def spark(trend: Sequence[float | None]) -> str:
    """Return the trend as a line of bars; a dot where the check was not run."""
    most = max((value for value in trend if value is not None), default=0.0)
    drawn = bars([value or 0.0 for value in trend]) if most else "▁" * len(trend)
    return "".join("·" if value is None else bar.replace(" ", "▁") for value, bar in zip(trend, drawn, strict=True))


def _style(found: TableReport) -> str:
    results = {line.result for line in found.checks}
    return "bad" if results & {"error", "quarantine"} else "warn" if "warn" in results or not results else "good"


def _failed(line: CheckLine) -> list[Block]:
    if line.result in ("passed", "skipped"):
        return []
    blocks: list[Block] = [Line(), Line(f"{line.check}: {line.message}", "strong")]
    if line.examples:
        names = list(dict.fromkeys(name for row in line.examples for name in row))
        rows = [tuple("" if row.get(name) is None else str(row[name]) for name in names) for row in line.examples]
        blocks.append(table(names, rows))
    if line.query:
        blocks.append(Line(line.query, "faint"))
    return blocks
