"""The clock of the machine, and names made of its moments; light, for whoever needs no place."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from penstock.names import moment


def now() -> datetime:
    """Return the clock's moment to the millisecond, UTC: the only place of a run that asks the clock."""
    at = datetime.now(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def new_id(at: datetime) -> str:
    """Return an identifier that sorts by time: ``2026-11-21T02-30-54.123Z-k3f9``."""
    return f"{moment(at)}-{secrets.token_hex(2)}"
