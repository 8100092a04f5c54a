"""What runs inside Spark's Python workers: DuckDB over the Arrow batches of a call. Workers need duckdb and pyarrow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


PROBE = "SELECT CAST(hash('penstock') & 4294967295 AS BIGINT)"
"""What tells whether two DuckDBs make the same hashes."""
UNLIKE = "penstock-other-duckdb:"
"""Before the version of a worker's DuckDB that makes other hashes."""


def answering(dealt: Sequence[Sequence[str]], questions: Sequence[str], known: int) -> Callable[..., Any]:
    """Return a function of batches of numbers of portions, which yields what each portion answers to each question.

    It is sent to the workers as it is, so it names nothing of this package.

    Args:
        dealt: Of each portion the statements after which questions can be asked.
        questions: Queries.
        known: What a DuckDB with the same hashes makes of ``PROBE``.
    """
    mark, unlike, probe, settings = MARK, UNLIKE, PROBE, _SETTINGS

    def answer_each(batches: Any) -> Any:
        import json
        import tempfile

        import duckdb
        import pyarrow as pa

        for batch in batches:
            for portion in batch.column(0).to_pylist():
                with (
                    tempfile.TemporaryDirectory(prefix="penstock-") as spill,
                    duckdb.connect(config={"temp_directory": spill, **settings}) as connection,
                ):
                    try:
                        connection.execute("SET TimeZone = 'UTC'")
                        if connection.execute(probe).fetchall()[0][0] != known:
                            raise RuntimeError(unlike + duckdb.__version__)
                        for statement in dealt[portion]:
                            connection.execute(statement)
                        for place, question in enumerate(questions):
                            found = connection.sql(question).to_arrow_table()
                            sink = pa.BufferOutputStream()
                            with pa.ipc.new_stream(sink, found.schema) as writer:
                                writer.write_table(found)
                            columns = [
                                pa.array([place], pa.int32()),
                                pa.array([sink.getvalue().to_pybytes()], pa.binary()),
                            ]
                            yield pa.RecordBatch.from_arrays(columns, names=["question", "answer"])
                    except duckdb.Error as error:
                        raise RuntimeError(mark + json.dumps([type(error).__name__, str(error)])) from None

    answer_each.__annotations__ = {}
    return answer_each


def uniting(wholes: Sequence[str], name: str) -> Callable[..., Any]:
    """Return a function of all portions' answers to one question, which returns the answer of the whole.

    Args:
        wholes: A query for each question.
        name: The name by which it calls the answers of all portions.
    """
    mark, settings = MARK, _SETTINGS

    def unite(table: Any) -> Any:
        import json
        import tempfile

        import duckdb
        import pyarrow as pa

        place = table.column("question")[0].as_py()
        parts = [pa.ipc.open_stream(each.as_buffer()).read_all() for each in table.column("answer")]
        with (
            tempfile.TemporaryDirectory(prefix="penstock-") as spill,
            duckdb.connect(config={"temp_directory": spill, **settings}) as connection,
        ):
            try:
                connection.execute("SET TimeZone = 'UTC'")
                connection.register(name, pa.concat_tables(parts))
                found = connection.sql(wholes[place]).to_arrow_table()
            except duckdb.Error as error:
                raise RuntimeError(mark + json.dumps([type(error).__name__, str(error)])) from None
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, found.schema) as writer:
            writer.write_table(found)
        columns = [pa.array([place], pa.int32()), pa.array([sink.getvalue().to_pybytes()], pa.binary())]
        return pa.table(columns, names=["question", "answer"])

    unite.__annotations__ = {}
    return unite


_SETTINGS = {
    "threads": "1",
    "memory_limit": "512MiB",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    # Types that Arrow lacks come back as what they were.
    "arrow_lossless_conversion": "true",
}
