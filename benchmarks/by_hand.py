"""The yardsticks: the same work to the same targets, with DuckDB, the driver and deltalake alone.

Called as a process: ``python -m benchmarks.by_hand WORK FOLDER INPUT``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deltalake.transaction import AddAction
    from duckdb import DuckDBPyConnection

_DECIMALS = ("quantity", "price", "discount", "tax")


def main() -> None:
    """Do the work that the arguments name."""
    work, folder, given = sys.argv[1:4]
    WORKS[work](Path(folder), given)


def postgres(folder: Path, url: str) -> None:
    """Read by ADBC, write Parquet, commit it to Delta, and make the DuckDB table from that file."""
    import adbc_driver_postgresql.dbapi as driver
    import duckdb

    with driver.connect(url) as server, server.cursor() as cursor, duckdb.connect(_database(folder)) as target:
        cursor.execute("SELECT * FROM lineitem")
        target.register("incoming", cursor.fetch_record_batch())
        _to_both(target, f"SELECT * REPLACE ({_cast()}) FROM incoming", folder)


def postgres_to_duckdb(folder: Path, url: str) -> None:
    """Read by ADBC into DuckDB alone."""
    import adbc_driver_postgresql.dbapi as driver
    import duckdb

    with driver.connect(url) as server, server.cursor() as cursor, duckdb.connect(_database(folder)) as target:
        cursor.execute("SELECT * FROM lineitem")
        target.register("incoming", cursor.fetch_record_batch())
        target.execute(f"CREATE TABLE t AS SELECT * REPLACE ({_cast()}) FROM incoming")


def csv(folder: Path, path: str) -> None:
    """Let DuckDB write Parquet, commit it to Delta, and make the DuckDB table from that file."""
    import duckdb

    with duckdb.connect(_database(folder)) as target:
        _to_both(target, f"SELECT * FROM read_csv('{path}')", folder)


def nested(folder: Path, path: str) -> None:
    """Infer the types over all records, write Parquet, commit it to Delta, and unnest the lists into tables."""
    _nested(folder, f"read_json('{path}', format='newline_delimited', sample_size=-1)")


def nested_guessed(folder: Path, path: str) -> None:
    """The same with the types of the first 20,480 records, which is what DuckDB does unless told otherwise."""
    _nested(folder, f"read_json('{path}', format='newline_delimited')")


def _nested(folder: Path, scan: str) -> None:
    import duckdb

    with duckdb.connect(_database(folder)) as target:
        lake = folder / "lake"
        lake.mkdir()
        file = lake / "part.parquet"
        target.execute(f"COPY (SELECT * FROM {scan}) TO '{file}' (FORMAT parquet, COMPRESSION zstd)")
        _commit(lake, file)
        items = f"SELECT id, unnest(items) AS e, generate_subscripts(items, 1) AS item FROM read_parquet('{file}')"
        target.execute(f"""CREATE TABLE t AS SELECT id, customer.name AS customer__name,
            customer.email AS customer__email, customer.address.city AS customer__address__city,
            customer.address.zip AS customer__address__zip, placed, status, total, len(items) AS items__length, labels
            FROM read_parquet('{file}')""")
        target.execute(f"""CREATE TABLE t__items AS SELECT id, item, e.sku, e.qty, e.price, e.tags,
            len(e.lots) AS lots__length FROM ({items})""")
        target.execute(f"""CREATE TABLE t__items__lots AS SELECT id, item, place, l.lot, l.bin FROM (
            SELECT id, item, unnest(e.lots) AS l, generate_subscripts(e.lots, 1) AS place FROM ({items}))""")


def csv_to_duckdb(folder: Path, path: str) -> None:
    """Let DuckDB read the file into a table."""
    import duckdb

    with duckdb.connect(_database(folder)) as target:
        target.execute(f"CREATE TABLE t AS FROM read_csv('{path}')")


def merge(folder: Path, path: str) -> None:
    """Write the new rows as Parquet, append that file to the Delta table, and merge from it into DuckDB."""
    import duckdb
    from deltalake import DeltaTable

    table = DeltaTable(str(folder / "lake"))
    file = folder / "lake" / f"part{table.version() + 1}.parquet"
    with duckdb.connect(_database(folder)) as target:
        target.execute(f"COPY (FROM read_parquet('{path}')) TO '{file}' (FORMAT parquet, COMPRESSION zstd)")
        table.create_write_transaction([_added(file)], "append", table.schema())
        _merge(target, str(file))


def merge_to_duckdb(folder: Path, path: str) -> None:
    """Merge into DuckDB alone."""
    import duckdb

    with duckdb.connect(_database(folder)) as target:
        _merge(target, path)


def _merge(target: DuckDBPyConnection, path: str) -> None:
    """Delete and insert in one transaction, and checkpoint."""
    target.execute(f"BEGIN; CREATE TEMP TABLE new AS FROM read_parquet('{path}')")
    target.execute("DELETE FROM t USING new WHERE t.id = new.id")
    target.execute("INSERT INTO t FROM new; COMMIT; CHECKPOINT")


def parquet(folder: Path, path: str) -> None:
    """Let DuckDB copy a Parquet file, commit it to Delta, and make the DuckDB table: what a merge begins with."""
    import duckdb

    with duckdb.connect(_database(folder)) as target:
        _to_both(target, f"SELECT * FROM read_parquet('{path}')", folder)


def transforms(folder: Path, path: str) -> None:
    """Run the SQL of a file."""
    import duckdb

    with duckdb.connect(_database(folder)) as target:
        target.execute(Path(path).read_text())


def _to_both(target: DuckDBPyConnection, query: str, folder: Path) -> None:
    lake = folder / "lake"
    lake.mkdir()
    file = lake / "part.parquet"
    target.execute(f"COPY ({query}) TO '{file}' (FORMAT parquet, COMPRESSION zstd)")
    _commit(lake, file)
    target.execute(f"CREATE TABLE t AS FROM read_parquet('{file}')")


def _commit(lake: Path, file: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from deltalake import DeltaTable, Schema

    # Delta has no wall-clock time without a zone in its plainest form.
    fields = [
        f.with_type(pa.timestamp("us", "UTC")) if pa.types.is_timestamp(f.type) else f for f in pq.read_schema(file)
    ]
    table = DeltaTable.create(str(lake), Schema.from_arrow(pa.schema(fields)))
    table.create_write_transaction([_added(file)], "append", table.schema())


def _added(file: Path) -> AddAction:
    from deltalake.transaction import AddAction

    found = file.stat()
    return AddAction(file.name, found.st_size, {}, int(found.st_mtime * 1000), True, "{}")


def _cast() -> str:
    return ", ".join(f"{name}::VARCHAR::DECIMAL(15,2) AS {name}" for name in _DECIMALS)


def _database(folder: Path) -> str:
    return str(folder / "t.duckdb")


WORKS = {
    "postgres": postgres,
    "postgres_to_duckdb": postgres_to_duckdb,
    "csv": csv,
    "nested": nested,
    "nested_guessed": nested_guessed,
    "csv_to_duckdb": csv_to_duckdb,
    "merge": merge,
    "merge_to_duckdb": merge_to_duckdb,
    "parquet": parquet,
    "transforms": transforms,
}

if __name__ == "__main__":
    main()
