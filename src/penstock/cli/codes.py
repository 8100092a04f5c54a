"""Exit codes of what ended without an error being raised."""

from __future__ import annotations

from penstock.errors import DataError, PenstockError
from penstock.model.receipts import RunReceipt, State


def code_of_run(run: RunReceipt) -> int:
    """Return 0, or what a rejected load or a failure exits with."""
    if run.state is State.REJECTED:
        return DataError.exit_code
    if run.state is State.FAILED:
        return run.exit_code or PenstockError.exit_code
    return 0
