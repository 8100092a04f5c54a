"""A peer at the same work, run by an interpreter that has it: ``python by_dlt.py FOLDER INPUT``; DuckDB alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any


def main() -> None:
    """Load the table with dlt's pyarrow backend; Parquet on the way, as its guide to performance says."""
    folder, url = sys.argv[1:3]
    os.environ.update(RUNTIME__LOG_LEVEL="ERROR", RUNTIME__DLTHUB_TELEMETRY="false")
    if url.endswith(".jsonl"):
        nested(folder, url)
        return
    import dlt
    from dlt.sources.sql_database import sql_table

    pipeline = dlt.pipeline(
        "bench",
        destination=dlt.destinations.duckdb(f"{folder}/t.duckdb"),
        dataset_name="raw",
        pipelines_dir=f"{folder}/state",
    )
    address = url.replace("postgresql://", "postgresql+psycopg2://")
    table = sql_table(address, table="lineitem", backend="pyarrow", chunk_size=50_000, reflection_level="full")
    pipeline.run(table, write_disposition="replace", loader_file_format="parquet")


def nested(folder: str, path: str) -> None:
    """Load nested JSON lines, each page parsed by orjson, with the normaliser as it is by default."""
    import dlt
    import orjson

    def orders() -> Iterator[list[Any]]:
        with open(path, "rb") as lines:
            while page := [orjson.loads(line) for line in islice(lines, 1000)]:
                yield page

    pipeline = dlt.pipeline(
        "bench",
        destination=dlt.destinations.duckdb(f"{folder}/t.duckdb"),
        dataset_name="raw",
        pipelines_dir=f"{folder}/state",
    )
    pipeline.run(dlt.resource(orders, name="t", write_disposition="replace"), loader_file_format="parquet")


if __name__ == "__main__":
    main()
