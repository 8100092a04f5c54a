"""Schemas of Pandera as validators: which library they judge, which rows they name. Nothing here imports Pandera."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


def backend_of(schema: Any) -> str:
    """Return the library whose frames a schema of Pandera judges, ``pandas`` or ``polars``; empty: it is none."""
    kind = schema if isinstance(schema, type) else type(schema)
    modules = [each.__module__.split(".") for each in kind.__mro__]
    for library in ("polars", "pandas"):
        if any(parts[0] == "pandera" and library in parts for parts in modules):
            return library
    return ""


class PandasSchema:
    """A schema over pandas."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema

    def validate(self, data: pd.DataFrame) -> list[bool]:
        """Return one bool a row; raises what the schema says of no single row."""
        return _mask(self._schema, data)


class PolarsSchema:
    """A schema over polars."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema

    def validate(self, data: pl.DataFrame) -> list[bool]:
        """Return one bool a row; raises what the schema says of no single row."""
        return _mask(self._schema, data)


def _mask(schema: Any, data: Any) -> list[bool]:
    good = [True] * len(data)
    try:
        schema.validate(data, lazy=True)
    except Exception as error:
        cases = getattr(error, "failure_cases", None)
        if cases is None or not hasattr(cases, "columns") or "index" not in cases.columns:
            raise
        places = cases["index"].to_list() if hasattr(cases["index"], "to_list") else list(cases["index"])
        if not places or any(place is None or math.isnan(place) for place in places):
            raise
        for place in places:
            good[int(place)] = False
    return good
