"""Thirty checks over one Parquet file, by hand and by Penstock: ``python -m benchmarks.checking WORK FOLDER FILE``.

The counts of bad rows go to ``counts.json`` in the folder, so that they can be compared.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PRESENT = ("id", "txn_id", "customer_id", "product_id", "status", "amount", "created_at", "email")
KEYS = ("id", "txn_id")
RANGES = {
    "amount": (0, 1_000_000),
    "qty": (1, 50),
    "discount": (0, 1),
    "age": (18, 120),
    "product_id": (0, 4_999),
    "customer_id": (0, 199_999),
}
SETS = {
    "status": ("new", "paid", "sent", "returned"),
    "currency": ("EUR", "USD", "GBP"),
    "channel": ("web", "app", "shop"),
    "country": ("DE", "FR", "US", "GB", "NL"),
}
PATTERNS = {
    "email": r"[^@]+@[^@]+\.[a-z]+",
    "phone": r"\+[0-9]{10}",
    "txn_id": r"T[0-9]{10,}",
    "currency": r"[A-Z]{3}",
}
REFERENCES = {"customer_id": "customers", "product_id": "products"}
CONDITIONS = ("updated_at >= created_at", "amount * qty >= amount")


def main() -> None:
    """Do the work that the arguments name."""
    work, folder, file = sys.argv[1:4]
    counts = WORKS[work](Path(folder), Path(file))
    (Path(folder) / "counts.json").write_text(json.dumps(counts, sort_keys=True))


def fused(folder: Path, file: Path) -> dict[str, int]:
    """Ask all in one query of DuckDB, uniqueness by ``count(DISTINCT)``."""
    import duckdb

    t = f"'{file}'"
    asked = {f"not_null({name})": f"count(*) FILTER (WHERE {name} IS NULL)" for name in PRESENT}
    for name, (low, high) in RANGES.items():
        asked[f"between({name})"] = f"count(*) FILTER (WHERE NOT ({name} BETWEEN {low} AND {high}))"
    for name, values in SETS.items():
        asked[f"in_set({name})"] = f"count(*) FILTER (WHERE {name} NOT IN {values})"
    for name, pattern in PATTERNS.items():
        asked[f"matches({name})"] = f"count(*) FILTER (WHERE NOT regexp_full_match({name}, '{pattern}'))"
    for condition in CONDITIONS:
        asked[condition] = f"count(*) FILTER (WHERE NOT ({condition}))"
    for name in KEYS:
        asked[f"unique({name})"] = f"(SELECT count({name}) - count(DISTINCT {name}) FROM {t})"
    for name, other in REFERENCES.items():
        there = f"'{file.parent / other}.parquet'"
        missing = f"SELECT count(*) FROM {t} AS t ANTI JOIN {there} AS o USING ({name}) WHERE t.{name} IS NOT NULL"
        asked[f"references({name})"] = f"({missing})"
    with duckdb.connect() as connection:
        connection.execute(f"SET temp_directory = '{folder}'")
        query = f"SELECT count(*), max(created_at), {', '.join(asked.values())} FROM {t}"
        _, _, *found = connection.execute(query).fetchall()[0]
    return {name: count for name, count in zip(asked, found, strict=True) if count}


def penstock(folder: Path, file: Path, **asked: Any) -> dict[str, int]:
    """Run the same checks as a stage, without profile."""
    from penstock import checks
    from penstock.model.entries import Column, DataFile
    from penstock.queries.relations import parquet
    from penstock.stores.engine import LocalEngine
    from penstock.stores.objects import LocalObjects
    from penstock.validate.checking import Checking, CheckPorts, check

    wanted = [
        *(checks.not_null(name) for name in PRESENT),
        *(checks.unique(name) for name in KEYS),
        *(checks.between(name, low, high) for name, (low, high) in RANGES.items()),
        *(checks.in_set(name, values) for name, values in SETS.items()),
        *(checks.matches(name, pattern) for name, pattern in PATTERNS.items()),
        *(checks.references(name, f"{other}.{name}") for name, other in REFERENCES.items()),
        *(checks.expression(condition) for condition in CONDITIONS),
        checks.row_count(min=1),
        checks.fresh("created_at", within="36500d"),
    ]
    engine = LocalEngine(threads=2, spill=str(folder), memory=340 * 2**20)
    try:
        with engine.session() as connection:
            relation = parquet([str(file)], located=True)
            described = connection.execute(f"DESCRIBE SELECT * FROM '{file}'").fetchall()
            ((rows,),) = connection.execute(f"SELECT count(*) FROM '{file}'").fetchall()
            spec = Checking(
                table="raw_t",
                checks=tuple(wanted),
                relation=relation,
                columns=tuple(Column(name=name, type=type_) for name, type_, *_ in described),
                tables={other: f"read_parquet('{file.parent / other}.parquet')" for other in REFERENCES.values()},
                now=datetime.now(UTC),
                quarantine_path=None,
                files=(DataFile(path=file.name, rows=rows, bytes=file.stat().st_size),),
                **{"profiled": False, **asked},
            )
            receipt = check(spec, CheckPorts(connection=connection, objects=LocalObjects(folder)))
    finally:
        engine.close()
    return {failure.check: failure.count for failure in receipt.report.failures}


def profiled(folder: Path, file: Path) -> dict[str, int]:
    """Run the checks and keep the whole profile."""
    return penstock(folder, file, profiled=True, sketch_path="profile.json.gz")


def pandera(folder: Path, file: Path) -> dict[str, int]:
    """Run what Pandera has of these checks, over polars; it counts failures of another kind, so none is compared."""
    import pandera.polars as pa
    import polars as pl

    del folder
    columns = {
        name: pa.Column(
            nullable=name not in PRESENT,
            unique=name in KEYS,
            checks=[
                *([pa.Check.in_range(*RANGES[name])] if name in RANGES else []),
                *([pa.Check.isin(SETS[name])] if name in SETS else []),
                *([pa.Check.str_matches(f"^{PATTERNS[name]}$")] if name in PATTERNS else []),
                *([pa.Check.isin(pl.read_parquet(file.parent / f"{REFERENCES[name]}.parquet")[name].to_list())]
                  if name in REFERENCES else []),
            ],
        )
        for name in {*PRESENT, *RANGES, *SETS, *PATTERNS}
    }  # fmt: skip
    try:
        pa.DataFrameSchema(columns).validate(pl.read_parquet(file), lazy=True)
    except pa.errors.SchemaErrors as error:
        return {"failures": len(error.failure_cases)}
    return {}


WORKS = {"fused": fused, "penstock": penstock, "profiled": profiled, "pandera": pandera}

if __name__ == "__main__":
    main()
