"""Exit codes of what ended without an error being raised."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.errors import DataError, PenstockError
from penstock.model.receipts import RunReceipt, State

if TYPE_CHECKING:
    from penstock.cli.output import Output


def end_of_run(run: RunReceipt, output: Output) -> int:
    """Show a run, say on standard error why it failed if it did, and return what it exits with."""
    output.show(run, summary=True)
    code = code_of_run(run)
    if run.state is State.FAILED:
        output.fail(_reason(run), code)
    return code


def _reason(run: RunReceipt) -> str:
    """Return why a run failed, with the step before each sentence that came from one."""
    said = run.error
    for step in run.steps:
        for note in step.notes if step.state is State.FAILED else ():
            place = f"{step.step} {step.interval.label}" if step.interval else step.step
            said = said.replace(note, f"{place}: {note}", 1) if f": {note}" not in said else said
    return said


def code_of_run(run: RunReceipt) -> int:
    """Return 0, or what a rejected load or a failure exits with."""
    if run.state is State.REJECTED:
        return DataError.exit_code
    if run.state is State.FAILED:
        return run.exit_code or PenstockError.exit_code
    return 0
