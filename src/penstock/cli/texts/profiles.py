"""Words for profiles and drift."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.cli.blocks import Block, Line, shortened, table
from penstock.cli.figures import count, plural
from penstock.model.answers import ColumnFigures, ProfileReport
from penstock.monitor.classifying import DomainDrift
from penstock.monitor.drift import ColumnDrift, DriftReport

_BARS = " ▁▂▃▄▅▆▇█"


def profile(report: ProfileReport) -> list[Block]:
    """Word what the values of a table look like."""
    rows = [
        (
            each.column,
            each.type,
            each.kind,
            _share(each.null_share) if each.nulls else "",
            "" if each.distinct is None else f"~{count(each.distinct)}",
            _number(each.least),
            _number(each.quantiles.get("0.5")),
            _number(each.greatest),
            bars(each.histogram),
            _top(each),
        )
        for each in report.columns
    ]
    heading = ("column", "type", "kind", ">nulls", ">distinct", ">least", ">median", ">greatest", "values", "frequent")
    return [
        Line(f"{report.table}: {plural(report.rows, 'row')}, {report.origin}.", "strong"),
        table(heading, rows),
        Line("Of texts the figures are lengths, of dates and times seconds since 1970.", "faint"),
    ]


def drift(report: DriftReport) -> list[Block]:
    """Word what differs between two profiles."""
    head = f"{report.current} ({plural(report.rows[1], 'row')}) against {report.reference} ({count(report.rows[0])})."
    blocks: list[Block] = [Line(head, "strong"), *(Line(*finding) for finding in findings(report))]
    heading, rows = drift_table(report)
    return [*blocks, table(heading, rows)] if rows else blocks


def findings(report: DriftReport) -> list[tuple[str, str]]:
    """Word what differs, a sentence each, with how good it is."""
    said: list[tuple[str, str]] = [(each, "bad") for each in (*report.schema, report.volume, *report.unusual) if each]
    said += [(f"{each.column}: {'; '.join(each.reasons)}", "bad") for each in report.columns if each.drifted]
    if report.together is not None:
        said.append(_together(report.together))
    if not report.drifted:
        said.append(("Nothing differs by more than chance and by enough to matter.", "good"))
    return said


def drift_table(report: DriftReport) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return a heading, ``>`` before what is set to the right, and a row of figures for each column."""
    heading = ("column", "drift", ">PSI", ">limit", ">JS", ">KS", ">moved (sd)", ">nulls", ">before")
    return heading, [_row(each) for each in sorted(report.columns, key=lambda each: not each.drifted)]


def _together(found: DomainDrift) -> tuple[str, str]:
    area = f"area under the curve {found.area:.3f}, limit {found.limit:.3f}, of {sum(found.rows):,} rows"
    if not found.drifted:
        return f"A classifier cannot tell the rows apart ({area}).", "good"
    by = ", ".join(f"{name} {fall:.3f}" for name, fall in found.columns)
    return f"A classifier tells the rows apart ({area}){f', by {by}' if by else ''}", "bad"


def bars(parts: Sequence[float]) -> str:
    """Return a histogram as a line of bars."""
    most = max(parts, default=0)
    # Whatever is there at all is seen.
    heights = (0 if not part else max(1, round(part / most * (len(_BARS) - 1))) for part in parts) if most else ()
    return "".join(_BARS[height] for height in heights)


def _row(each: ColumnDrift) -> tuple[str, ...]:
    return (
        each.column,
        "drifted" if each.drifted else "",
        *(_figure(value) for value in (each.stability, each.stability_limit, each.jensen_shannon)),
        _figure(each.kolmogorov_smirnov),
        _figure(each.wasserstein_deviations),
        *((_share(each.nulls[1]), _share(each.nulls[0])) if any(each.nulls) else ("", "")),
    )


def _top(each: ColumnFigures) -> str:
    return shortened(", ".join(f"{value or '(empty)'} {count(number)}" for value, number in each.top.items()), 40)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _share(share: float) -> str:
    return f"{100 * share:.1f} %"
