"""Checks that judge a row by the others: repeated, out of order, nearly the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Unpack

from penstock.checks.making import About, spec
from penstock.errors import ConfigurationError
from penstock.model.durations import parse_duration
from penstock.model.specs import CheckSpec


def unique(*columns: str, against: str = "new", approximate: bool = False, **about: Unpack[About]) -> CheckSpec:
    """Expect that no two rows have the same values in these columns; a row with a null in one of them passes.

    The first row of each value, in the order of landing, holds; the later ones fail, also when the whole rows are
    equal. So a quarantine keeps one row of each.

    Args:
        columns: The columns that together name a row.
        against: ``new`` compares the new rows with each other, ``table`` also with the rows accepted before.
        approximate: Count distinct values by HyperLogLog, in a few kilobytes whatever the rows: finds repetitions of
            over a twentieth of the rows, names none of them, and sets none aside.
        about: see ``About``.
    """
    if against not in ("new", "table"):
        raise ConfigurationError("A unique check cannot compare with that", value=against, valid="new, table")
    if approximate and (against == "table" or about.get("severity") == "quarantine" or about.get("at_most")):
        raise ConfigurationError(
            "An approximate unique check only counts the new rows: it names none of them",
            valid="severity warn or error, without against and at_most",
        )
    parameters: dict[str, Any] = {} if against == "new" else {"against": against}
    return spec("unique", columns, {**parameters, **({"approximate": True} if approximate else {})}, about)


def no_near_duplicates(column: str, similarity: float = 0.92, **about: Unpack[About]) -> CheckSpec:
    """Expect that no text is nearly the same as another one of the new rows, as ``ACME Inc`` and ``Acme, Inc.``.

    Texts are compared in small letters, without accents, punctuation and repeated blanks, by the similarity of Jaro and
    Winkler. Compared are those that share their first three or last three characters. Of texts that are alike the one
    that landed first holds, and so does every row with exactly its text: that is for ``unique``.

    Args:
        column: A column of texts of at most 100,000 different ones.
        similarity: From 0 to 1, from which on two texts are nearly the same.
        about: see ``About``.
    """
    if isinstance(similarity, bool) or not isinstance(similarity, int | float) or not 0.5 <= similarity <= 1:
        raise ConfigurationError(
            f"The similarity of no_near_duplicates({column!r})", value=similarity, valid="0.5 to 1"
        )
    return spec("no_near_duplicates", (column,), {"similarity": float(similarity)}, about)


def increasing(
    column: str,
    *,
    strictly: bool = False,
    order_by: str | None = None,
    per: str | Sequence[str] = (),
    **about: Unpack[About],
) -> CheckSpec:
    """Expect that a value is not below any that came before it; nulls are passed over.

    Args:
        column: The column, as a counter or a meter.
        strictly: It must be above all that came before.
        order_by: The column that says what comes before; default: the order of landing.
        per: Columns: each combination of their values is a series of its own, as ``per="meter"``.
        about: see ``About``.
    """
    series = (per,) if isinstance(per, str) else tuple(per)
    parameters = {"strictly": strictly, "order_by": order_by, "per": list(series)}
    return spec("increasing", (column,), {key: value for key, value in parameters.items() if value}, about)


def no_gaps(column: str, every: str | timedelta, *, per: str | Sequence[str] = (), **about: Unpack[About]) -> CheckSpec:
    """Expect no two neighbouring moments further apart than ``every``; nulls are passed over.

    Args:
        column: A date or a timestamp.
        every: As ``1h``, ``15m``, ``1d``.
        per: Columns: each combination of their values is a series of its own, as ``per="station"``.
        about: Severity (``warn`` or ``error``) and what else ``About`` says.
    """
    series = (per,) if isinstance(per, str) else tuple(per)
    parameters: dict[str, Any] = {"every": parse_duration(every).total_seconds()}
    return spec("no_gaps", (column,), {**parameters, **({"per": list(series)} if series else {})}, about)
