"""A peer at the same work, run by an interpreter that has it: ``python by_polars.py FOLDER FILE``; Parquet alone."""

from __future__ import annotations

import sys


def main() -> None:
    """Stream a CSV file to Parquet; moments are read as such only where polars is told to try."""
    folder, path = sys.argv[1:3]
    import polars as pl

    pl.scan_csv(path, try_parse_dates=True).sink_parquet(f"{folder}/t.parquet", compression="zstd")


if __name__ == "__main__":
    main()
