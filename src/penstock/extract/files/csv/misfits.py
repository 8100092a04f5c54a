"""Lines of a file that are no rows of its table: kept as they stand, with file, line and reason.

DuckDB gathers what it cannot read in temporary tables; what stands above the table was met when the file was looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import duckdb

from penstock.arrow import pa
from penstock.errors import DataError, PenstockError
from penstock.extract.files.csv.encodings import opened, pieces, texts
from penstock.extract.files.listing import Content, File
from penstock.names import DETAIL, LINE, ORIGIN, REASONS
from penstock.queries.text import identifier
from penstock.values import dataclass

_BATCH = 10_000
_PIECE = 2**20
_FEW = 5
_REASONS = {
    "CAST": "wrong_type",
    "MISSING COLUMNS": "too_few_fields",
    "TOO MANY COLUMNS": "too_many_fields",
    "UNQUOTED VALUE": "stray_quote",
    "LINE SIZE OVER MAXIMUM": "line_too_long",
    "INVALID ENCODING": "wrong_encoding",
    "INVALID STATE": "stray_quote",
}
_STOPPING = ("LINE SIZE OVER MAXIMUM", "INVALID ENCODING")
"""What says more of the reading than of the row: the load stops, so that the user says how the file is to be read.

Of a file that is UTF-8 but for some characters, ``INVALID ENCODING`` says something of the row alone.
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A file as a scan reads it.

    Attributes:
        file: The file.
        content: What its bytes told.
        encoding: What it is written in.
        rewritten: Whether the scan reads a copy of it in UTF-8.
        above: The lines above its table, as (number, text).
    """

    file: File
    content: Content
    encoding: str
    rewritten: bool
    above: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Misfits:
    """What a scan could not read; asked once, when it has run.

    Attributes:
        table: The temporary table of the lines that DuckDB met.
        scans: The temporary table that names their files.
        places: Path, as the scan knows it, to the file.
        limit: The share of rows that may be set aside.
        hidden: Whether the lines may hold personal values and are not kept.
        refusal: Gives the error for (error, path, line, expected fields, found fields, column).
    """

    table: str
    scans: str
    places: Mapping[str, Place]
    limit: float
    hidden: bool
    refusal: Callable[[Mapping[str, Any]], PenstockError]

    def batches(self, connection: duckdb.DuckDBPyConnection, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the lines in the order of files and lines.

        Args:
            connection: The session that ran the scan.
            rows: How many rows it read.

        Raises:
            DataError: There are too many of them, or one says that the whole file is read in a wrong way.
        """
        above = [(path, number, text) for path, place in self.places.items() for number, text in place.above]
        for begin in range(0, len(above), _BATCH):
            some = above[begin : begin + _BATCH]
            yield self._batch(
                [["above_table"] for _ in some],
                [text for _, _, text in some],
                [path for path, _, _ in some],
                [{"line": number} for _, number, _ in some],
            )
        if not self._any(connection):
            return
        try:
            self._judge(connection, rows)
            yield from self._met(connection)
        finally:
            self.forget(connection)

    def forget(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Take away what the scan set aside."""
        for name in (self.table, self.scans):
            connection.execute(f"DROP TABLE IF EXISTS {identifier(name)}")

    def _any(self, connection: duckdb.DuckDBPyConnection) -> bool:
        there = connection.execute(
            "SELECT count(*) FROM duckdb_tables() WHERE temporary AND table_name = ?", [self.table]
        ).fetchone()
        if not there or not there[0]:
            return False
        found = connection.execute(f"SELECT count(*) FROM {identifier(self.table)}").fetchone()
        return bool(found and found[0])

    def _judge(self, connection: duckdb.DuckDBPyConnection, rows: int) -> None:
        stopping_kinds = _STOPPING[: 1 if all(place.content.damaged() for place in self.places.values()) else 2]
        counted = connection.execute(
            f"SELECT count(DISTINCT (file_id, line_byte_position)), "
            f"count(*) FILTER (error_type IN ({', '.join('?' * len(stopping_kinds))})) FROM {identifier(self.table)}",
            list(stopping_kinds),
        ).fetchone()
        lines, stopping = counted or (0, 0)
        allowed = max(self.limit * (rows + lines), min(_FEW, (rows + lines) / 2) if self.limit else 0)
        if not stopping and lines <= allowed:
            return
        order = "error_type NOT IN ('LINE SIZE OVER MAXIMUM', 'INVALID ENCODING')" if stopping else "1"
        first = connection.execute(
            f"SELECT * FROM ({self._query('1')}) ORDER BY {order}, file_id, position LIMIT 1"
        ).fetchone()
        assert first is not None
        told = self._told(first, {})
        path = str(first[0])
        lines_of = _lines(self.places[path], [int(first[2])]) if path in self.places else {}
        told["line"] = lines_of.get(int(first[2]), int(first[3]))
        refusal = self.refusal({**told, "path": path, "error_type": first[4]})
        if stopping or not self.limit:
            raise refusal
        raise DataError(
            f"{refusal.what}; {lines} of {rows + lines} rows do not fit, more than may be set aside",
            valid=refusal.valid,
            remedy="Mend the file, say how it is written (delimiter=, quote=, header=, skip=, types=), or allow more "
            "with misfit_limit=",
        )

    def _query(self, where: str) -> str:
        counts = "'Expected Number of Columns: (\\d+) Found: (\\d+)'"
        found = f"TRY_CAST(regexp_extract(r.error_message, {counts}, 2) AS INTEGER)"
        return (
            "SELECT s.file_path, r.file_id, r.line_byte_position AS position, min(r.line) AS line, "
            "arg_min(r.error_type::VARCHAR, r.error_type) AS error_type, "
            "list(DISTINCT r.error_type::VARCHAR) AS kinds, "
            "list(DISTINCT r.column_name) FILTER (r.error_type = 'CAST') AS columns, "
            f"max(regexp_extract(r.error_message, {counts}, 1)) AS expected, "
            # Of a short row each missing field is an error, of a long one each field too many.
            f"CASE WHEN bool_or(r.error_type = 'MISSING COLUMNS') THEN min({found}) ELSE max({found}) END AS found, "
            # After a carriage return the line is said to begin with the line feed.
            f"regexp_replace(any_value(r.csv_line), '^[\\r\\n]+|[\\r\\n]+$', '', 'g') AS text "
            f"FROM {identifier(self.table)} r JOIN (SELECT DISTINCT scan_id, file_id, file_path "
            f"FROM {identifier(self.scans)}) s ON s.scan_id = r.scan_id AND s.file_id = r.file_id WHERE {where} "
            "GROUP BY s.file_path, r.file_id, r.line_byte_position"
        )

    def _met(self, connection: duckdb.DuckDBPyConnection) -> Iterator[pa.RecordBatch]:
        positions: dict[str, list[int]] = {}
        for path, position in connection.execute(
            f"SELECT file_path, position FROM ({self._query('1')}) ORDER BY file_id, position"
        ).fetchall():
            positions.setdefault(path, []).append(int(position))
        lines = {path: _lines(self.places[path], found) for path, found in positions.items() if path in self.places}
        result = connection.execute(f"SELECT * FROM ({self._query('1')}) ORDER BY file_id, position")
        while some := result.fetchmany(_BATCH):
            yield self._batch(
                [sorted({_REASONS[kind] for kind in row[5]}) for row in some],
                [self._raw(row) for row in some],
                [row[0] for row in some],
                [self._told(row, lines.get(row[0], {})) for row in some],
            )

    def _raw(self, row: Sequence[Any]) -> Any:
        """Return the text of a line; a byte that is no UTF-8 by its number, where DuckDB gives a question mark."""
        text, place = row[9], self.places.get(str(row[0]))
        if "INVALID ENCODING" not in row[5] or place is None or text is None:
            return text
        with opened(place.file, place.content) as stream:
            _skip(stream, int(row[2]) - 1)
            data = stream.read(len(text.encode()) + 2).lstrip(b"\r\n")[: len(text.encode())]
        return data.decode("utf-8", "backslashreplace")

    def _told(self, row: Sequence[Any], lines: Mapping[int, int]) -> dict[str, Any]:
        told: dict[str, Any] = {"line": lines.get(int(row[2]), int(row[3])), "byte": int(row[2])}
        if row[7]:
            told |= {"expected": int(row[7]), "found": row[8]}
        if row[6]:
            told["columns"] = sorted(row[6])
        return told

    def _batch(
        self,
        reasons: Sequence[Sequence[str]],
        texts_: Sequence[str],
        paths: Sequence[str],
        details: Sequence[Mapping[str, Any]],
    ) -> pa.RecordBatch:
        origins = [self.places[path].file.key if path in self.places else path for path in paths]
        shown = [json.dumps(detail, sort_keys=True, separators=(",", ":")) for detail in details]
        kept = [None if self.hidden else text for text in texts_]
        return batch_of(reasons, kept, origins, shown)


def batch_of(
    reasons: Sequence[Sequence[str]], texts_: Sequence[str | None], origins: Sequence[str], details: Sequence[str]
) -> pa.RecordBatch:
    """Return lines that are no rows as landing takes them, of each its reasons, text, file and details."""
    text = pa.string()
    schema = pa.schema([(REASONS, pa.list_(text)), (LINE, text), (ORIGIN, text), (DETAIL, text)])
    columns = zip((reasons, texts_, origins, details), schema.types, strict=True)
    return pa.RecordBatch.from_arrays([pa.array(values, type_) for values, type_ in columns], schema=schema)


def _lines(place: Place, positions: Sequence[int]) -> dict[int, int]:
    """Return byte position (from 1, in UTF-8) to line; DuckDB counts a row with line breaks within as one line."""
    found: dict[int, int] = {}
    waiting = sorted(positions, reverse=True)
    done, line = 0, 1
    marked = 0 if place.rewritten or place.encoding != "utf-8" else _mark(place)
    last = ""
    for data in _as_utf8(place):
        mark = b"\n" if b"\n" in data or not last else last.encode()
        if b"\n" not in data and b"\r" in data:
            mark = b"\r"
        last = mark.decode()
        while waiting and waiting[-1] - 1 - marked <= done + len(data):
            position = waiting.pop()
            inside = max(0, position - 1 - marked - done)
            # The position may be that of the line feed which ends the line before.
            inside += data[inside : inside + 1] in (b"\n", b"\r")
            found[position] = line + data.count(mark, 0, inside)
        line += data.count(mark)
        done += len(data)
        if not waiting:
            break
    return found


def _as_utf8(place: Place) -> Iterator[bytes]:
    """Yield the bytes of a file as the scan reads them, without a mark; those of UTF-8 as they are, broken ones too."""
    if place.encoding != "utf-8":
        name = "latin-1" if place.encoding == "cp1252" else place.encoding
        yield from (text.encode("utf-8", "replace") for text in texts(place.file, place.content, name))
        return
    first = True
    for data in pieces(place.file, place.content):
        yield data.removeprefix(b"\xef\xbb\xbf") if first else data
        first = False


def _skip(stream: BinaryIO, size: int) -> None:
    if stream.seekable():
        stream.seek(size)
        return
    while size > 0 and (passed := len(stream.read(min(size, _PIECE)))):
        size -= passed


def _mark(place: Place) -> int:
    from penstock.extract.files.listing import head

    return 3 if head(place.file, place.content, 3) == b"\xef\xbb\xbf" else 0
