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
        output.fail(run.error, code)
    return code


def code_of_run(run: RunReceipt) -> int:
    """Return 0, or what a rejected load or a failure exits with."""
    if run.state is State.REJECTED:
        return DataError.exit_code
    if run.state is State.FAILED:
        return run.exit_code or PenstockError.exit_code
    return 0
