"""The report on a table as one HTML file: no script, nothing from elsewhere, every value escaped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from html import escape

from penstock.cli.figures import count, moment, plural
from penstock.cli.pages.document import document
from penstock.cli.texts.reports import heading, share, summary
from penstock.model.answers import ColumnFigures
from penstock.model.reports import CheckLine, TableReport
from penstock.schema import MOMENTS

_CLASSES = {"passed": "good", "skipped": "soft", "warn": "warn", "quarantine": "bad", "error": "bad"}
_WIDE, _TALL = 220, 44


def page(found: TableReport) -> str:
    """Return the report as an HTML document."""
    return document(f"{found.table}: report", (*_head(found), *_failures(found), *_checks(found), *_columns(found)))


def _head(found: TableReport) -> Iterator[str]:
    results = {line.result for line in found.checks}
    style = "bad" if results & {"error", "quarantine"} else "warn" if "warn" in results else "good"
    yield f"<h1>{escape(heading(found))}</h1>"
    yield f'<p class="{style}">{escape(summary(found))}</p>'
    yield f'<p class="soft">Made {escape(moment(found.at))} UTC.</p>'


def _failures(found: TableReport) -> Iterator[str]:
    failed = [line for line in found.checks if line.result not in ("passed", "skipped")]
    if failed:
        yield "<h2>What failed</h2>"
    for line in failed:
        yield f'<article class="{"warn-edge" if line.result == "warn" else ""}"><h3>{escape(line.check)}</h3>'
        yield f"<p>{escape(line.message)}</p>"
        about = [f"severity {line.result}", *([f"owner {line.owner}"] if line.owner else []), line.description]
        yield f'<p class="soft">{escape(" · ".join(part for part in about if part))}</p>'
        yield from _examples(line)
        if line.query:
            yield "<details><summary>The query for all of them (DuckDB)</summary>"
            yield f"<pre>{escape(line.query)}</pre></details>"
        yield "</article>"


def _examples(line: CheckLine) -> Iterator[str]:
    if not line.examples:
        return
    names = list(dict.fromkeys(name for row in line.examples for name in row))
    yield '<div class="scroll"><table><tr>'
    yield "".join(f"<th>{escape('where from' if name == '_origin' else name)}</th>" for name in names)
    yield "</tr>"
    for row in line.examples:
        cells = ("" if row.get(name) is None else escape(str(row[name])) for name in names)
        yield f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
    yield "</table></div>"


def _checks(found: TableReport) -> Iterator[str]:
    if not found.checks:
        return
    yield "<h2>All checks</h2>"
    if len(found.before) > 1:
        said = (
            f"The trend shows the share of failing rows in {plural(len(found.before), 'load')}, {found.before[0]} to "
        )
        yield f'<p class="soft">{escape(said + found.before[-1])}.</p>'
    yield '<div class="scroll"><table><tr><th>result</th><th>check</th><th class="number">rows</th>'
    yield '<th class="number">share</th><th>trend</th></tr>'
    for line in found.checks:
        yield f'<tr><td class="{_CLASSES[line.result]}">{escape(line.result)}</td>'
        yield f'<td class="name">{escape(line.check)}</td>'
        figures = (count(line.rows), share(line.share)) if line.rows else ("", "")
        yield "".join(f'<td class="number">{escape(figure)}</td>' for figure in figures)
        yield f"<td>{_trend(line.trend, found.before)}</td></tr>"
    yield "</table></div>"


def _trend(trend: Sequence[float | None], labels: Sequence[str]) -> str:
    """Return a bar for each load; one that is not zero is always seen, and each says its figure when pointed at."""
    if len(trend) < 2:
        return ""
    most = max((value for value in trend if value is not None), default=0.0)
    width = 6
    bars = []
    for place, (value, label) in enumerate(zip(trend, labels, strict=True)):
        height = 2.0 if not value or not most else max(3.0, 20 * value / most)
        kind = "none" if not value else "last" if place == len(trend) - 1 else ""
        said = f"{label}: {'not run' if value is None else share(value)}"
        shape = f'x="{place * width}" y="{22 - height:.1f}" width="{width - 1}" height="{height:.1f}"'
        bars.append(f'<rect class="{kind}" {shape}><title>{escape(said)}</title></rect>')
    size = f'width="{len(trend) * width}" height="22"'
    return f'<svg {size} role="img" aria-label="{escape(_spoken(trend))}">{"".join(bars)}</svg>'


def _spoken(trend: Sequence[float | None]) -> str:
    known = [value for value in trend if value is not None]
    return f"failing rows: {share(known[0])} at first, {share(known[-1])} at last" if known else "not run"


def _columns(found: TableReport) -> Iterator[str]:
    if found.profile is None or not found.profile.columns:
        return
    yield f'<h2>Values</h2><p class="soft">{escape(found.profile.origin)}</p><div class="columns">'
    for column in found.profile.columns:
        yield f"<section><h3>{escape(column.column)}</h3>"
        nulls = f", {share(column.null_share)} without a value" if column.nulls else ""
        yield f'<p class="soft">{escape(f"{column.type}, {column.kind}{nulls}")}</p>'
        if column.histogram:
            yield _histogram(column)
        elif column.top:
            yield _top(column)
        yield "</section>"
    yield "</div>"


def _histogram(column: ColumnFigures) -> str:
    most, width = max(column.histogram) or 1.0, _WIDE / len(column.histogram)
    bars = []
    for place, part in enumerate(column.histogram):
        height = max(1.5, _TALL * part / most) if part else 0.0
        shape = f'x="{place * width:.1f}" y="{_TALL - height:.1f}" width="{width - 1:.1f}" height="{height:.1f}"'
        bars.append(f"<rect {shape}><title>{escape(f'{part:,.0f} rows')}</title></rect>")
    drawn = f'<svg width="{_WIDE}" height="{_TALL}" role="img" aria-label="histogram">{"".join(bars)}</svg>'
    low, high, mean = (_figure(column, value) for value in (column.least, column.greatest, column.mean))
    of = "lengths " if column.type == "VARCHAR" else ""
    return f'{drawn}<p class="soft">{escape(f"{of}{low} to {high}, mean {mean}")}</p>'


def _top(column: ColumnFigures) -> str:
    rows = "".join(
        f'<tr><td class="name">{escape(str(value)) or "(empty)"}</td><td class="number">{count(number)}</td></tr>'
        for value, number in column.top.items()
    )
    return f"<table>{rows}</table>"


def _figure(column: ColumnFigures, value: float | None) -> str:
    if value is None or column.type not in MOMENTS:
        return "–" if value is None else f"{value:,.6g}"
    with suppress(OverflowError):
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=value)
        return f"{at:%Y-%m-%d}" if column.type == "DATE" else moment(at)
    return f"{value:,.6g} s since 1970"
