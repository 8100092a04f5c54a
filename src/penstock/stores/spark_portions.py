"""Questions about rows that Spark's workers are asked, each about a portion of the rows, and what they answer together.

A worker's DuckDB reads the files of its portion by itself and answers in the very SQL that DuckDB here would be asked.
What portions answer meets in one worker for each question, so that few rows come here, however many portions there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import sqlglot

from penstock.errors import ConfigurationError
from penstock.queries.portions import Scan, Stretch, portioned
from penstock.queries.text import file_literals
from penstock.stores.port import ANSWERS, PORTION, Partial
from penstock.stores.spark_worker import answering, uniting
from penstock.values import dataclass

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PORTION_BYTES = 64 * 2**20
"""About how much of the files is a portion."""
MOST_PORTIONS = 256
"""Portions of a large table are larger, so that not too many answers meet."""
_SCAN = "_penstock_scan_"
_SCHEMA = "question INT, answer BINARY"


@dataclass(frozen=True, slots=True)
class _File:
    rows: int
    bytes: int
    groups: int


def portions(relation: str, connection: duckdb.DuckDBPyConnection, size: int = PORTION_BYTES) -> list[tuple[str, ...]]:
    """Return for each portion of a relation the statements after which ``PORTION`` names its rows.

    Args:
        relation: SQL of a FROM clause.
        connection: DuckDB, which sees the files.
        size: About how many bytes of the files a portion is.
    """
    query, scans = portioned(sqlglot.parse_one(f"SELECT * FROM {relation}", dialect="duckdb"), _SCAN)
    made = f"CREATE OR REPLACE TEMP VIEW {PORTION} AS {query}"
    if not scans:
        return [(made,)]
    shapes = [_columns(connection, scan) for scan in scans]
    return [
        (
            *(
                f"CREATE OR REPLACE TEMP VIEW {scan.view} AS "
                + scan.of([stretch for stretch in dealt if stretch.scan == place], shape)
                for place, (scan, shape) in enumerate(zip(scans, shapes, strict=True))
            ),
            made,
        )
        for dealt in _dealt(scans, connection, size)
    ]


def gathered(
    session: SparkSession, dealt: Sequence[Sequence[str]], asked: Sequence[Partial], known: int
) -> list[pa.Table]:
    """Return the answer to each question.

    Args:
        session: Of Spark.
        dealt: Of each portion the statements after which ``PORTION`` names its rows.
        asked: The questions.
        known: What DuckDB here makes of ``spark_worker.PROBE``.
    """
    each = session.range(0, len(dealt), 1, len(dealt))
    answers = each.mapInArrow(answering(dealt, [one.part for one in asked], known), _SCHEMA)
    united = answers.groupBy("question").applyInArrow(uniting([one.whole for one in asked], ANSWERS), _SCHEMA)
    found = united.toArrow()
    tables = zip(found.column(0).to_pylist(), found.column(1), strict=True)
    read = {question: pa.ipc.open_stream(answer.as_buffer()).read_all() for question, answer in tables}
    return [read[question] for question in range(len(asked))]


def unlike(version: str) -> ConfigurationError:
    """Return the sentence for workers whose DuckDB is another one."""
    return ConfigurationError(
        "The DuckDB of Spark's workers makes other hashes than the one here, so that profiles would not merge",
        value=f"DuckDB {version} there",
        valid=f"DuckDB {duckdb.__version__}",
        remedy="Install the same version of duckdb where Spark's workers run",
    )


def _columns(connection: duckdb.DuckDBPyConnection, scan: Scan) -> list[tuple[str, str]]:
    found = connection.execute(f"DESCRIBE SELECT * FROM {scan.sql}").fetchall()
    return [(str(label), str(type_)) for label, type_, *_ in found]


def _dealt(scans: Sequence[Scan], connection: duckdb.DuckDBPyConnection, size: int) -> list[list[Stretch]]:
    """Return the rows of all scans in portions of about the same size."""
    facts = _facts({file for scan in scans for file in scan.files}, connection)
    total = sum(facts[file].bytes for scan in scans for file in scan.files)
    size = max(size, -(-total // MOST_PORTIONS), 1)
    dealt: list[list[Stretch]] = [[]]
    filled = 0
    for place, scan in enumerate(scans):
        for file in scan.files:
            for stretch, weight in _stretches(place, file, facts[file], size):
                if filled and filled + weight > size:
                    dealt.append([])
                    filled = 0
                dealt[-1].append(stretch)
                filled += weight
    return dealt


def _stretches(scan: int, file: str, facts: _File, size: int) -> Iterator[tuple[Stretch, int]]:
    """Yield a file as one, or in stretches of rows if it is larger than a portion."""
    many = min(-(-facts.bytes // size), facts.groups, facts.rows)
    if many < 2:
        yield Stretch(scan, file), facts.bytes
        return
    step = -(-facts.rows // many)
    for first in range(0, facts.rows, step):
        yield Stretch(scan, file, (first, min(first + step, facts.rows) - 1)), -(-facts.bytes // many)


def _facts(files: set[str], connection: duckdb.DuckDBPyConnection) -> dict[str, _File]:
    listed = file_literals(sorted(files))
    query = f"SELECT file_name, num_rows, file_size_bytes, num_row_groups FROM parquet_file_metadata([{listed}])"
    return {name: _File(rows, size, groups) for name, rows, size, groups in connection.execute(query).fetchall()}
