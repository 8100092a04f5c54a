"""Tests of transforms, in words."""

from __future__ import annotations

from penstock.cli.blocks import Block, Line, table
from penstock.cli.figures import plural
from penstock.model.testing import CaseResult, CasesReport


def report(tested: CasesReport) -> list[Block]:
    """Word what came of the tests: one line each, and of those that failed the rows that differ."""
    blocks: list[Block] = []
    for case in tested.cases:
        blocks += _case(case)
    failed = sum(not case.passed for case in tested.cases)
    passed = len(tested.cases) - failed
    blocks.append(Line(f"{passed} passed, {failed} failed.", "bad" if failed else "good"))
    if tested.untested:
        blocks.append(Line(f"Without a test: {', '.join(tested.untested)}.", "faint"))
    return blocks


def _case(case: CaseResult) -> list[Block]:
    what = f"{case.table}: {case.name}"
    if case.passed:
        return [Line(f"ok      {what}", "good")]
    blocks: list[Block] = [Line(f"failed  {what} ({case.file})", "bad")]
    if case.error:
        return [*blocks, Line(f"  {case.error}", "faint")]
    # Rows that differ in their last columns stand together: what was expected, then what came.
    rows = sorted([(row, "- expected") for row in case.missing] + [(row, "+ came") for row in case.unexpected])
    blocks.append(table(("", *case.columns), [(sign, *row) for row, sign in rows]))
    blocks.append(
        Line(
            f"  {plural(len(case.missing), 'row')} missing, {plural(len(case.unexpected), 'row')} not expected", "faint"
        )
    )
    return blocks
