"""The data of the benchmarks, made by SQL so that it is the same each time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

TABLE = "lineitem"
_MODES = "(ARRAY['AIR', 'RAIL', 'SHIP', 'TRUCK', 'MAIL'])[1 + i % 5]"


def fill_postgres(execute: Callable[[str], Any], rows: int) -> None:
    """Make a table of 16 columns: integers, exact decimals, dates, moments, texts with nulls."""
    execute(f"DROP TABLE IF EXISTS {TABLE}")
    execute(f"""CREATE TABLE {TABLE} AS SELECT
        i::bigint AS orderkey, (i * 7919 % 200000)::bigint AS partkey, (i * 31 % 10000)::bigint AS suppkey,
        (i % 7)::int AS linenumber, (i % 50 + 1)::numeric(15,2) AS quantity,
        (i * 104729 % 9999999 / 100.0)::numeric(15,2) AS price, (i % 11 / 100.0)::numeric(15,2) AS discount,
        (i % 9 / 100.0)::numeric(15,2) AS tax, substr('ARN', 1 + (i % 3)::int, 1)::char(1) AS returnflag,
        substr('OF', 1 + (i % 2)::int, 1)::char(1) AS linestatus, date '1992-01-01' + (i % 2500)::int AS shipped,
        timestamptz '1992-01-01 00:00:00+00' + i * interval '61.5 seconds' AS committed,
        date '1992-01-03' + (i % 2500)::int AS received,
        CASE WHEN i % 10 <> 0 THEN 'DELIVER IN PERSON ' || i % 97 END AS instruction, {_MODES}::varchar(10) AS mode,
        left(md5(i::text), 12 + (i % 20)::int) AS comment FROM generate_series(1::bigint, {rows}) AS g(i)""")
    execute(f"ANALYZE {TABLE}")


def write_csv(path: Path, rows: int) -> None:
    """Make a CSV file of 12 columns, about 110 bytes a row."""
    duckdb.sql(f"""COPY (SELECT i AS id, i * 7919 % 200000 AS part, i * 31 % 10000 AS supplier,
        (i * 104729 % 9999999 / 100)::DECIMAL(15,2) AS price, (i % 11 / 100)::DECIMAL(15,2) AS discount,
        DATE '1992-01-01' + (i % 2500)::INT AS shipped,
        TIMESTAMP '1992-01-01 00:00:00' + to_seconds(i * 61) AS committed, ['R', 'A', 'N'][1 + i % 3] AS flag,
        CASE WHEN i % 10 <> 0 THEN 'DELIVER, IN PERSON ' || i % 97 END AS instruction, i % 2 = 0 AS returned,
        ['AIR', 'RAIL', 'SHIP', 'TRUCK'][1 + i % 4] AS mode, md5(i::VARCHAR) AS comment
        FROM range({rows}) AS t(i)) TO '{path}' (HEADER)""")


def write_small(folder: Path, files: int) -> None:
    """Make CSV files of 100 rows and 5 columns, about 4 KB each."""
    folder.mkdir()
    for file in range(files):
        rows = (
            f"{i},2024-01-{1 + file % 28:02d} {i % 24:02d}:00:00,s{file % 50},{i * 7919 % 99991 / 1000},note {i % 97}\n"
            for i in range(file * 100, file * 100 + 100)
        )
        (folder / f"{file:06d}.csv").write_text("id,at,station,value,note\n" + "".join(rows))


def write_nested(path: Path, rows: int) -> None:
    """Make a file of JSON lines, about 350 bytes a record: objects within objects, and lists within lists."""
    duckdb.sql(f"""COPY (SELECT i AS id, {{'name': 'name ' || i * 7919 % 100003, 'email': 'u' || i || '@example.com',
            'address': {{'city': ['Oslo', 'Rome'][1 + i % 2], 'zip': (10000 + i % 80000)::VARCHAR}}}} AS customer,
        TIMESTAMP '2026-01-01 00:00:00' + to_seconds(i) AS placed, ['new', 'paid', 'sent'][1 + i % 3] AS status,
        (i * 104729 % 9999999 / 100)::DECIMAL(15,2) AS total,
        list_transform(range(i % 4), lambda x: {{'sku': 'sku-' || (i * 31 + x) % 5000, 'qty': 1 + (i + x) % 5,
            'price': (i * 7 + x * 13) % 10000 / 100, 'tags': ['a', 'b'],
            'lots': list_transform(range((i + x) % 3), lambda y: {{'lot': i * 10 + y, 'bin': 'b' || y}})}}) AS items,
        ['x', 'y'] AS labels FROM range({rows}) t(i)) TO '{path}' (FORMAT json)""")


_PEOPLE = """SELECT ({id})::BIGINT AS id, 'name ' || (i * 7919 % 1000003) AS name, 'u' || i || '@example.com' AS email,
    (i * 31337 % 1000000 / 100)::DECIMAL(12,2) AS amount, ['new', 'paid', 'sent'][1 + i % 3] AS status,
    TIMESTAMPTZ '2026-01-01 00:00:00+00' + to_seconds(i) AS updated_at, (i % 1000)::INTEGER AS n,
    'note ' || md5(i::VARCHAR) AS note FROM range({first}, {end}) AS t(i)"""


def write_people(path: Path, rows: int) -> None:
    """Make a Parquet file of 8 columns with the key ``id``."""
    duckdb.sql(_PEOPLE.format(id="i", first=0, end=rows)).write_parquet(str(path))


def write_changes(path: Path, rows: int, changed: int) -> None:
    """Make the file that is merged: half of its rows are spread over the keys of the table, half are new."""
    half = changed // 2
    old = _PEOPLE.format(id=f"i * {rows // half}", first=0, end=half)
    new = _PEOPLE.format(id="i", first=rows, end=rows + half)
    duckdb.sql(f"{old} UNION ALL {new}").write_parquet(str(path))


def write_checked(folder: Path, rows: int, *, stirred: bool = False) -> Path:
    """Make a Parquet file of 16 columns with one bad row of a thousand, and the two files that it refers to.

    Args:
        folder: Is made.
        rows: Of the file.
        stirred: Its two keys come in no order; else they rise.
    """
    folder.mkdir(parents=True)
    for name, many in (("customer", 200_000), ("product", 5_000)):
        duckdb.sql(f"SELECT i::BIGINT AS {name}_id FROM range({many}) t(i)").write_parquet(f"{folder}/{name}s.parquet")
    columns = {
        "id": "CASE WHEN k % 40009 = 7 THEN k - 1 ELSE k END::BIGINT",
        "txn_id": "'T' || lpad((CASE WHEN k % 50021 = 9 THEN k - 1 ELSE k END * 7)::VARCHAR, 10, '0')",
        "customer_id": "CASE WHEN i % 30011 = 3 THEN 999999 ELSE hash(i) % 200000 END::BIGINT",
        "product_id": "CASE WHEN i % 30013 = 4 THEN NULL ELSE hash(i + 1) % 5000 END::INTEGER",
        "status": "CASE WHEN i % 20011 = 1 THEN 'Paid' "
        "ELSE ['new', 'paid', 'sent', 'returned'][(1 + hash(i + 2) % 4)::INTEGER] END",
        "currency": "CASE WHEN i % 20021 = 1 THEN 'eur' ELSE ['EUR', 'USD', 'GBP'][(1 + hash(i + 3) % 3)::INTEGER] END",
        "channel": "['web', 'app', 'shop'][(1 + hash(i + 4) % 3)::INTEGER]",
        "country": "['DE', 'FR', 'US', 'GB', 'NL'][(1 + hash(i + 5) % 5)::INTEGER]",
        "amount": "CASE WHEN i % 10007 = 5 THEN -1 ELSE hash(i + 6) % 1000000 / 100.0 END::DECIMAL(12, 2)",
        "qty": "CASE WHEN i % 10009 = 6 THEN 0 ELSE hash(i + 7) % 50 + 1 END::INTEGER",
        "discount": "CASE WHEN i % 60013 = 2 THEN 'nan' ELSE hash(i + 8) % 100 / 100.0 END::DOUBLE",
        "age": "(hash(i + 9) % 80 + 18)::INTEGER",
        "email": "CASE WHEN i % 10037 = 8 THEN NULL ELSE 'user' || hash(i) % 200000 || '@example.com' END",
        "phone": "'+49' || lpad((hash(i + 10) % 100000000)::VARCHAR, CASE WHEN i % 70001 = 1 THEN 7 ELSE 8 END, '0')",
        "created_at": "TIMESTAMPTZ '2026-01-01 00:00:00+00' + to_seconds(i % 20000000)",
        "updated_at": "TIMESTAMPTZ '2026-01-01 00:00:00+00' + to_seconds(i % 20000000 + "
        "CASE WHEN i % 10061 = 0 THEN -5 ELSE hash(i + 11) % 86400 END)",
    }
    listed = ", ".join(f"{sql} AS {name}" for name, sql in columns.items())
    file = folder / "checked.parquet"
    # A prime that divides no number of rows: each key comes once.
    key = f"i * 999983 % {rows}" if stirred else "i"
    numbered = f"SELECT i, {key} AS k FROM range({rows}) t(i)"
    duckdb.sql(f"COPY (SELECT {listed} FROM ({numbered})) TO '{file}' (FORMAT parquet, COMPRESSION zstd)")
    return file


def write_transforms(folder: Path, tables: int = 20) -> list[tuple[str, str]]:
    """Make a project of one-row transforms in four waves; returns their names and SQL in order."""
    models = [
        (f"d{level}_{i}", f"SELECT x + 1 AS x FROM {f'd{level - 1}_{i}' if level else 'seed'}")
        for level in range(4)
        for i in range(tables // 4)
    ]
    folder.mkdir(parents=True)
    (folder / "seed.csv").write_text("x\n0\n")
    for name, query in models:
        (folder / f"{name}.sql").write_text(query + "\n")
    places = "".join(
        f'[environments.{name}]\nlake = "data/{name}/lake"\nwarehouse = "data/{name}/warehouse.duckdb"\n'
        for name in ("staging", "production")
    )
    (folder / "penstock.toml").write_text(f'[project]\nname = "noop"\npipelines = ["pipeline:noop"]\n{places}')
    (folder / "pipeline.py").write_text(
        "from penstock import Pipeline, sources, sql\n\n"
        'noop = Pipeline(name="noop", sources=[sources.files("seed.csv", table="seed", write="replace")],\n'
        f"    transforms=[sql(name + '.sql') for name in {[name for name, _ in models]!r}])\n"
    )
    return models
