"""Tables, their loads, checks and quarantined rows, in words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.cli.blocks import Block, Line, shortened, table
from penstock.cli.figures import count, moment, plural, size
from penstock.model.answers import ExportReceipt, QuarantineRows, QuarantineSummary, ReplayPreview, SuggestedChecks
from penstock.model.contracts import Contract, SchemaChange
from penstock.model.entries import CheckFailure, CheckReport, Entry, EntryKind
from penstock.model.receipts import CheckReceipt
from penstock.names import DISCARDED

_LONGEST_ROW = 400


def entry(made: Entry) -> list[Block]:
    """Word one entry: the verdict that was just given, as a rule."""
    if made.kind is EntryKind.DISCARD and made.taken is not None:
        rows = plural(made.taken.rows, "row")
        return [Line(f"{rows} that load {made.load} of {made.table} set aside: discarded: {made.reason}", "good")]
    if made.kind is EntryKind.VERDICT and made.verdict is not None:
        return [Line(f"Load {made.load} of {made.table} is {made.verdict.value}: {made.reason}", "good")]
    return [Line(f"{made.table} {made.kind.value} {made.number}: {plural(made.rows, 'row')}.", "good")]


def entries(listed: Sequence[Entry]) -> list[Block]:
    """Word the loads and verdicts, or the versions, of a table."""
    rows = []
    for each in listed:
        interval = each.span
        rows.append(
            (
                str(each.number),
                each.kind.value + (", snapshot" if each.work and each.work.snapshot else ""),
                moment(each.created_at),
                interval.label if interval else "",
                count(each.rows) if each.kind is not EntryKind.VERDICT else "",
                size(sum(file.bytes for file in each.files)) if each.files else "",
                _verdict(each),
                _checks(each.report),
                each.reconciliation.word if each.reconciliation and each.kind is EntryKind.LOAD else "",
                _schema(each.change),
                each.run or "",
            )
        )
    columns = (
        *(">number", "kind", "made (UTC)", "interval", ">rows", ">bytes", "verdict", "checks"),
        *("reconciled", "schema", "run"),
    )
    return [table(columns, rows)]


def _schema(change: SchemaChange | None) -> str:
    """Word what a load's columns did, shortly: ``+new -gone amount DOUBLE left out 3``, and the contract."""
    if change is None:
        return ""
    said = [f"+{name}" for name in change.added]
    said += [f"-{name}" for name in change.vanished]
    said += [f"{each.column} {each.after}" for each in change.retyped]
    left_out = sum(left.values for left in change.discarded)
    said += [f"left out {count(left_out)}"] if change.discarded else []
    contract = change.contract
    if contract != Contract():
        words = dict.fromkeys((contract.columns.value, contract.types.value, *(["…"] if contract.each else [])))
        said.append(f"({'/'.join(words)})")
    return shortened(" ".join(said), 60)


def check(receipt: CheckReceipt) -> list[Block]:
    """Word what the checks of a table found."""
    report = receipt.report
    blocks: list[Block] = [Line(f"{receipt.table}: {plural(report.rows, 'row')} looked at.", "strong")]
    rows = [("passed", name, *_tolerated(report.tolerated.get(name, 0))) for name in report.passed]
    rows += [("skipped", name, "", "", "it does not apply to these rows") for name in report.skipped]
    rows += [
        (each.severity, each.check, count(each.count), ", ".join(each.columns), each.message)
        for each in report.failures
    ]
    if rows:
        blocks.append(table(("result", "check", ">rows", "columns", "found"), rows))
    else:
        blocks.append(Line("It has no checks.", "warn"))
    for failure in report.failures:
        blocks += _examples(failure)
    return blocks


def suggested(found: SuggestedChecks) -> list[Block]:
    """Word suggested checks: as the code that they are."""
    said = f"# {plural(len(found.checks), 'check')} that {plural(found.loads, 'load')} of {found.table} passed."
    return [Line(said, "faint"), *(Line(line) for line in found.code.rstrip().splitlines())]


def _tolerated(rows: int) -> tuple[str, str, str]:
    return (count(rows), "", "no more than its at_most") if rows else ("", "", "")


def quarantine_list(listed: Sequence[QuarantineSummary]) -> list[Block]:
    """Word what was set aside, by load."""
    rows = [
        (
            each.table,
            str(each.number),
            moment(each.created_at),
            count(each.rows),
            count(each.open),
            count(each.replayed),
            count(each.discarded),
            ", ".join(f"{check} ({count(rows)})" for check, rows in each.reasons.items()),
        )
        for each in listed
    ]
    return [table(("table", ">number", "made (UTC)", ">rows", ">open", ">replayed", ">discarded", "reasons"), rows)]


def exported(receipt: ExportReceipt) -> list[Block]:
    """Word what an export wrote."""
    return [Line(f"{plural(receipt.rows, 'open row')} of {receipt.table} written to {receipt.file}.", "good")]


def preview(found: ReplayPreview) -> list[Block]:
    """Word what a replay would do."""
    loads = plural(len(found.loads), "load")
    blocks: list[Block] = [Line(f"{plural(found.rows, 'row')} of {loads} of {found.table} would come in.", "strong")]
    rows = [(each.severity, each.check, count(each.count), each.message) for each in found.failures]
    if rows:
        blocks.append(table(("result", "check", ">rows", "found"), rows))
    else:
        blocks.append(Line("No check would fail.", "good"))
    return blocks


def quarantine_rows(found: QuarantineRows) -> list[Block]:
    """Word rows that were set aside: reasons, origin, then the row."""
    blocks: list[Block] = [
        Line(f"{found.table} {found.number}: {plural(found.total, 'row')} set aside.", "strong"),
    ]
    for position, row in enumerate(found.rows, start=1):
        blocks.append(Line(f"{position}. {_origin(row)}", "strong"))
        blocks += [Line(f"   {shortened(str(reason), 200)}", "warn") for reason in row.get("_reasons") or ()]
        if row.get(DISCARDED):
            blocks.append(Line(f"   left out: {shortened(str(row[DISCARDED]), _LONGEST_ROW)}", "warn"))
        own = {name: value for name, value in row.items() if not name.startswith("_")}
        blocks.append(Line("   " + shortened(", ".join(f"{n}={_value(v)}" for n, v in own.items()), _LONGEST_ROW)))
    if found.total > len(found.rows):
        blocks.append(Line(f"{count(found.total - len(found.rows))} more; --limit shows them, --json whole.", "faint"))
    return blocks


def descriptions(listed: Sequence[Any]) -> list[Block]:
    """Word what ``scope`` found at a source."""
    blocks: list[Block] = []
    for each in listed:
        about = "about " if each.estimated else ""
        known = [
            about + plural(each.rows, "row") if each.rows is not None else "",
            size(each.bytes) if each.bytes else "",
        ]
        blocks.append(Line(": ".join(filter(None, (each.name, ", ".join(filter(None, known))))), "strong"))
        rows = [
            (
                name,
                type_,
                " ".join(filter(None, ("key" if name in each.key else "", "cursor" if name in each.cursors else ""))),
            )
            for name, type_ in each.columns.items()
        ]
        if rows:
            blocks.append(table(("column", "type", "may serve as"), rows))
        blocks.append(Line(f"Fits: {each.pattern}. {each.reason}".strip()))
        blocks += [Line(f"Remark: {remark}", "warn") for remark in each.remarks]
        if each.suggestion:
            blocks.append(Line(f"    {each.suggestion}", "good"))
        if each.children:
            listed = ", ".join(f"…{child}" for child in each.children)
            blocks.append(Line(f'    with nested="tables" it would have the child tables {listed}'))
        blocks.append(Line())
    return blocks[:-1]


def _verdict(each: Entry) -> str:
    if each.kind is not EntryKind.VERDICT or each.verdict is None:
        return ""
    return f"load {each.load} {each.verdict.value}" + (f": {each.reason}" if each.reason else "")


def _checks(report: CheckReport | None) -> str:
    if report is None or not (report.passed or report.failures):
        return ""
    parts = [f"{len(report.passed)} passed"] if report.passed else []
    if report.failures:
        parts.append(f"{len(report.failures)} failed")
    if report.quarantined:
        parts.append(f"{count(report.quarantined)} set aside")
    return ", ".join(parts)


def _examples(failure: CheckFailure) -> list[Block]:
    return [
        Line(f"  {failure.check}: " + shortened(", ".join(f"{n}={_value(v)}" for n, v in row.items()), 160), "faint")
        for row in failure.examples
    ]


def _origin(row: Mapping[str, Any]) -> str:
    detail = row.get("_origin_detail")
    if isinstance(detail, str):
        try:
            detail = json.loads(detail)
        except ValueError:
            detail = {"": detail}
    shown = (
        ", ".join(f"{name} {shortened(_value(value), 24)}".strip() for name, value in detail.items())
        if isinstance(detail, Mapping)
        else ""
    )
    return shortened(f"{row.get('_origin') or 'origin not known'}" + (f" ({shown})" if shown else ""), 160)


def _value(value: Any) -> str:
    return "null" if value is None else shortened(str(value))
