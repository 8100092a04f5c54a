"""What runs inside Spark's Python workers: DuckDB over the Arrow batches of a call. Workers need duckdb and pyarrow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MARK = "penstock-duckdb:"
"""Before DuckDB's own error, as JSON, in the text of an error of a worker."""


def evaluated(query: str) -> Callable[..., Any]:
    """Return a function of Arrow arrays that answers with one array, by a query over them.

    It is sent to the workers as it is, so it names nothing of this package.

    Args:
        query: Over ``batch``, whose columns are ``a0``, ``a1`` and so on; it has one column.
    """
    mark = MARK

    def evaluate(*arrays: Any) -> Any:
        import json

        import duckdb
        import pyarrow as pa

        # One for all calls of a worker, which does one after the other.
        connection = duckdb.default_connection()
        connection.execute("SET TimeZone = 'UTC'; SET threads = 1; SET autoload_known_extensions = false")
        connection.register("batch", pa.table(list(arrays), names=[f"a{place}" for place in range(len(arrays))]))
        try:
            column = connection.sql(query).to_arrow_table().column(0)
        except duckdb.Error as error:
            raise RuntimeError(mark + json.dumps([type(error).__name__, str(error)])) from None
        whole = column.combine_chunks()
        return whole if isinstance(whole, pa.Array) else pa.concat_arrays(whole.chunks)

    # Spark takes annotations for its own, and knows none for any number of arrays.
    evaluate.__annotations__ = {}
    return evaluate
