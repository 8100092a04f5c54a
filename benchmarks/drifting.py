"""Drift of twenty columns, four of them shifted: ``python -m benchmarks.drifting WORK FOLDER GIVEN``.

``by_hand`` reads the Parquet files below GIVEN, as a tool without profiles must; ``penstock`` the profiles that landing
kept beside them. The columns that drifted go to ``drifted.json`` in the folder.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

COLUMNS = tuple(f"c{number}" for number in range(20))
SHIFTED = tuple(name for number, name in enumerate(COLUMNS) if number % 5 == 0)
DEVIATIONS = 0.3
"""By how much of their deviation the columns are shifted."""
_FILES = ("reference", "current")
_BINS, _SAMPLE, _LIMIT = 200, 20_000, 0.1


def main() -> None:
    """Do the work that the arguments name."""
    work, folder, given = sys.argv[1:4]
    drifted = WORKS[work](Path(given))
    (Path(folder) / "drifted.json").write_text(json.dumps(sorted(drifted)))


def write(folder: Path, rows: tuple[int, int]) -> None:
    """Make both files, of normally distributed numbers, and the profiles that landing them would keep."""
    import duckdb

    from penstock.model.entries import Column, DataFile
    from penstock.queries.relations import parquet
    from penstock.validate.measuring import profiled
    from penstock.validate.rows import opened

    folder.mkdir(parents=True)
    columns = tuple(Column(name=name, type="DOUBLE") for name in COLUMNS)
    with duckdb.connect(config={"memory_limit": "1GiB", "temp_directory": str(folder)}) as connection:
        for seed, (name, many) in enumerate(zip(_FILES, rows, strict=True)):
            file = folder / f"{name}.parquet"
            moved = {column: DEVIATIONS if column in SHIFTED and name == "current" else 0.0 for column in COLUMNS}
            listed = ", ".join(f"{_normal(place, seed)} + {moved[x]} AS {x}" for place, x in enumerate(COLUMNS))
            connection.execute(f"COPY (SELECT {listed} FROM range({many}) t(i)) TO '{file}' (FORMAT parquet)")
            files = (DataFile(path=file.name, rows=many, bytes=file.stat().st_size),)
            rows_ = opened(connection, "t", parquet([str(file)], located=True), columns, files, ())
            (folder / f"{name}.json.gz").write_bytes(profiled(rows_, ()).encode())


def by_hand(given: Path) -> list[str]:
    """Take edges from a sample of the reference and a histogram of both files: Kolmogorov and Smirnov from its bins."""
    import duckdb

    shares = [place / _BINS for place in range(1, _BINS)]
    with duckdb.connect() as connection:
        asked = ", ".join(f"quantile_cont({name}, {shares})" for name in COLUMNS)
        sample = f"FROM '{given}/reference.parquet' USING SAMPLE reservoir({_SAMPLE} ROWS) REPEATABLE (1)"
        edges = connection.execute(f"SELECT {asked} FROM ({sample})").fetchall()[0]
        counted = ", ".join(
            f"histogram({name}, {sorted(set(cut))}::DOUBLE[])" for name, cut in zip(COLUMNS, edges, strict=True)
        )
        both = [connection.execute(f"SELECT {counted} FROM '{given}/{file}.parquet'").fetchall()[0] for file in _FILES]
    return [name for name, one, other in zip(COLUMNS, *both, strict=True) if _distance(one, other) > _LIMIT]


def penstock(given: Path) -> list[str]:
    """Compare the two profiles."""
    from penstock.monitor.drift import Limits, compare
    from penstock.profiles.profile import TableProfile

    both = [TableProfile.decode((given / f"{name}.json.gz").read_bytes(), where=name) for name in _FILES]
    report = compare(*both, Limits(), table="t", names=_FILES)
    return [column.column for column in report.columns if column.drifted]


def _normal(place: int, seed: int) -> str:
    """Return SQL of a number of the standard normal distribution (Box and Muller, 1958), the same for the same row."""
    one, two = (f"hash(i * {2 * len(COLUMNS)} + {2 * place + half}, {seed})" for half in (0, 1))
    return f"sqrt(-2 * ln(1 - {one} / 18446744073709551616.0)) * cos(2 * pi() * ({two} / 18446744073709551616.0))"


def _distance(one: dict[float, int], other: dict[float, int]) -> float:
    edges, totals = sorted({*one, *other}), (sum(one.values()), sum(other.values()))
    below, most = [0, 0], 0.0
    for edge in edges:
        below = [below[0] + one.get(edge, 0), below[1] + other.get(edge, 0)]
        most = max(most, abs(below[0] / totals[0] - below[1] / totals[1]))
    return most


WORKS = {"by_hand": by_hand, "penstock": penstock}

if __name__ == "__main__":
    main()
