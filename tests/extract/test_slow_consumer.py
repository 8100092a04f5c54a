"""Whoever takes rows more slowly than the source can give them: the source waits, and nothing piles up in memory."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from dataclasses import replace

import psutil
import pyarrow as pa
import pytest
from draining import sql_request

from penstock.extract.database.postgres.source import PostgresSource
from penstock.extract.port import ArrowBatch, Request
from penstock.extract.python.source import PythonSource
from penstock.model.specs import SourceSpec
from servers.postgres import PostgresServer

MIB = 2**20
ROWS = 400_000


@pytest.mark.postgres
@pytest.mark.parametrize("readers", [1, 3])
def test_who_takes_rows_slowly_is_waited_for(postgres: PostgresServer, readers: int) -> None:
    """Of some 120 MB no more than a few batches of 1 MiB are held, however long the taking pauses."""
    postgres.execute(
        "DROP TABLE IF EXISTS slowly;"
        f"CREATE TABLE slowly AS SELECT i AS id, repeat(md5(i::text), 8) AS filler FROM generate_series(1, {ROWS}) i"
    )
    asked = sql_request("postgres", postgres.url(), options={"table": "slowly"}, batch_bytes=MIB)
    asked = replace(asked, connection=replace(asked.connection, options={"readers": readers}))
    extraction = PostgresSource().open(asked)
    process, most, rows = psutil.Process(), 0, 0
    batches = extraction.batches()
    rows += next(batches).data.num_rows
    gc.collect()
    before = process.memory_info().rss
    for place, batch in enumerate(batches):
        rows += batch.data.num_rows
        if place in (1, 20, 40):
            time.sleep(0.5)
        most = max(most, process.memory_info().rss - before)
    extraction.close()
    postgres.execute("DROP TABLE slowly")
    assert rows == ROWS
    assert most < 40 * MIB


def test_a_generator_is_not_asked_for_more_than_is_taken() -> None:
    given = 0

    def endless() -> Iterator[pa.Table]:
        nonlocal given
        while True:
            given += 1
            yield pa.table({"id": [given]})

    extraction = PythonSource().open(Request(source=SourceSpec(table="t", kind="python", data=endless)))
    taken = 0
    for batch in extraction.batches():
        assert isinstance(batch, ArrowBatch)
        taken += batch.data.num_rows
        assert given <= taken + 1
        if taken == 1000:
            break
    extraction.close()
    assert given <= taken + 1
