"""Drift as a page: of each column the reference in bars and what came now as a line over them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from penstock.cli.figures import count, plural
from penstock.cli.pages.document import document
from penstock.cli.texts.profiles import drift_table, findings
from penstock.cli.texts.reports import share
from penstock.monitor.drift import ColumnDrift, DriftReport
from penstock.monitor.picturing import Part

_WIDE, _TALL = 220, 72


def page(found: DriftReport) -> str:
    """Return what differs between two profiles as an HTML document."""
    return document(f"{found.table}: drift", (*_head(found), *_columns(found), *_figures(found)))


def _head(found: DriftReport) -> Iterator[str]:
    yield f"<h1>{escape(found.current)} against {escape(found.reference)}</h1>"
    for sentence, style in findings(found):
        yield f'<p class="{style}">{escape(sentence)}</p>'
    rows = f"{plural(found.rows[1], 'row')}; the reference has {count(found.rows[0])}."
    yield f'<p class="soft">{escape(rows)}</p>'


def _columns(found: DriftReport) -> Iterator[str]:
    drawn = [each for each in found.columns if each.parts or each.drifted]
    if not drawn:
        return
    yield '<h2>Values</h2><p class="soft"><span class="key"></span>the reference'
    yield '<span class="key now"></span>now</p><div class="columns">'
    for each in sorted(drawn, key=lambda column: not column.drifted):
        yield f'<section class="{"bad-edge" if each.drifted else ""}"><h3>{escape(each.column)}</h3>'
        if each.parts:
            yield _drawing(each)
            yield _categories(each.parts) if each.parts[0].category else _ends(each.parts)
        yield "</section>"
    yield "</div>"


def _drawing(each: ColumnDrift) -> str:
    width = _WIDE / len(each.parts)
    most = max(max(part.before, part.now) for part in each.parts) or 1.0
    bars, points, over = [], [], []
    for place, part in enumerate(each.parts):
        left, tall = place * width, _TALL * part.before / most
        shape = f'x="{left:.1f}" y="{_TALL - tall:.1f}" width="{width - 1:.1f}" height="{tall:.1f}"'
        bars.append(f'<rect class="before" {shape}/>')
        at = _TALL - (_TALL - 2) * part.now / most
        points.append(f"{left:.1f},{at:.1f} {left + width:.1f},{at:.1f}")
        # Over the whole height, so that a part can be pointed at wherever its bar ends.
        shape = f'x="{left:.1f}" y="0" width="{width:.1f}" height="{_TALL}" fill-opacity="0"'
        over.append(f"<rect {shape}><title>{escape(_said(part))}</title></rect>")
    line = f'<polyline points="{" ".join(points)}"/>'
    size = f'width="{_WIDE}" height="{_TALL}" viewBox="0 0 {_WIDE} {_TALL}"'
    return f'<svg {size} role="img" aria-label="{escape(_spoken(each))}">{"".join((*bars, line, *over))}</svg>'


def _said(part: Part) -> str:
    return f"{part.label}: {share(part.now)} now, {share(part.before)} before"


def _ends(parts: Sequence[Part]) -> str:
    ends = parts[0].label if len(parts) == 1 else f"{parts[0].label} … {parts[-1].label}"
    return f'<p class="soft">{escape(ends)}</p>'


def _categories(parts: Sequence[Part]) -> str:
    rows = (
        f'<tr><td class="name">{escape(part.label) or "(empty)"}</td><td class="number">{escape(share(part.now))}</td>'
        f'<td class="number soft">{escape(share(part.before))}</td></tr>'
        for part in parts
    )
    return f"<table>{''.join(rows)}</table>"


def _spoken(each: ColumnDrift) -> str:
    moved = max(each.parts, key=lambda part: abs(part.now - part.before))
    return f"distribution of {each.column}; the greatest change: {_said(moved)}"


def _figures(found: DriftReport) -> Iterator[str]:
    heading, rows = drift_table(found)
    if not rows:
        return
    yield '<h2>Figures</h2><div class="scroll"><table><tr>'
    yield "".join(f"<th{_right(name)}>{escape(name.lstrip('>'))}</th>" for name in heading) + "</tr>"
    for row in rows:
        cells = (f"<td{_right(name)}>{escape(cell)}</td>" for name, cell in zip(heading, row, strict=True))
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</table></div>"


def _right(name: str) -> str:
    return ' class="number"' if name.startswith(">") else ""
