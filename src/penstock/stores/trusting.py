"""The engine's one function in Python, alone: what DuckDB holds of Python must not hold DuckDB, or neither is freed."""

from __future__ import annotations

from typing import Any


def trusted_json(texts: Any) -> Any:
    """Return texts as JSON without a look at them; Arrow's mark is taken at its word, where a cast parses."""
    import pyarrow as pa

    return pa.chunked_array([pa.ExtensionArray.from_storage(pa.json_(part.type), part) for part in texts.chunks])
