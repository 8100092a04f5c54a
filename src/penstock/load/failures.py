"""Errors of DuckDB while loading, as sentences that name the table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from penstock.stores.warehouse import explained


@contextmanager
def sentences(table: str) -> Iterator[None]:
    """Turn any error of DuckDB into one of Penstock's."""
    try:
        yield
    except duckdb.Error as error:
        raise explained(error, f"Loading {table}") from error
