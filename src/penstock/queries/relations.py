"""Relations over Parquet files, as SQL that stands in a FROM clause."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.names import LOAD
from penstock.queries.text import file_literals, identifier, literal
from penstock.schema import restore
from penstock.values import dataclass

FILE = "_penstock_file"
"""Each row's file, as the path given."""
ROW = "_penstock_row"
"""Each row's position in its file, from 0."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Rows that were a file of their own, and stand in a larger file now.

    Attributes:
        uri: The file in which they stand.
        first: Row of it at which they begin, from 0.
        rows: How many they are.
        load: The load that they came with: their ``_load``.
        was: The file that they were; ``FILE`` and ``ROW`` go on saying so.
    """

    uri: str
    first: int
    rows: int
    load: int
    was: str


@dataclass(frozen=True, slots=True)
class FileSet:
    """Files read together.

    Attributes:
        uris: The Parquet files, in the order of their rows.
        excluded: A Parquet file with columns ``_file`` (as in ``uris``, by its ending) and ``_row``: rows left out.
        moved: Files that were replaced: where their rows stand now.
    """

    uris: tuple[str, ...]
    excluded: str | None = None
    moved: tuple[Moved, ...] = ()

    def __bool__(self) -> bool:
        """Say whether there is a file at all."""
        return bool(self.uris or self.moved)


def parquet(uris: Sequence[str], *, located: bool = False) -> str:
    """Return ``read_parquet`` over files whose schemas are united by name; columns of the path are left out.

    Args:
        uris: At least one file.
        located: Add the columns ``FILE`` and ``ROW``.
    """
    listed = file_literals(uris)
    scan = f"read_parquet([{listed}], union_by_name=true, hive_partitioning=false"
    if not located:
        return scan + ")"
    return (
        # A column of the data may be called filename.
        f"(SELECT * EXCLUDE ({FILE}, file_row_number), {FILE}, file_row_number AS {ROW} "
        f"FROM {scan}, filename={literal(FILE)}, file_row_number=true))"
    )


def empty(columns: Sequence[tuple[str, str]], *, located: bool = False) -> str:
    """Return a relation without rows.

    Args:
        columns: Name and DuckDB type; at least one, unless ``located``.
        located: Add the columns ``FILE`` and ``ROW``.
    """
    listed = [f"CAST(NULL AS {type_}) AS {identifier(name)}" for name, type_ in columns]
    if located:
        listed += [f"CAST(NULL AS VARCHAR) AS {FILE}", f"CAST(NULL AS BIGINT) AS {ROW}"]
    return f"(SELECT {', '.join(listed)} WHERE false)"


def accepted(sets: Sequence[FileSet], *, located: bool = False) -> str:
    """Return a relation over several file sets without their excluded rows; at least one set has a file.

    What has no exclusions is read in one scan. The union is by name, so columns that a set lacks are null.
    """
    whole = [uri for part in sets if part.excluded is None for uri in part.uris]
    selects = [f"SELECT * FROM {parquet(whole, located=located)}"] if whole else []
    hidden = "" if located else f" EXCLUDE ({FILE}, {ROW})"
    for part in sets:
        if part.excluded is None or not part.uris:
            continue
        selects.append(
            f"SELECT r.*{hidden} FROM {parquet(part.uris, located=True)} r ANTI JOIN {_excluded([part.excluded])} q "
            f"ON r.{ROW} = q._row AND ends_with(r.{FILE}, q._file)"
        )
    moved = [piece for part in sets if part.excluded is None for piece in part.moved]
    if moved:
        selects.append(f"SELECT r.*{hidden} FROM {_moved(moved)} r")
    lessened = [part for part in sets if part.excluded is not None and part.moved]
    if lessened:
        # The table's folder is not known here; names of files are unique by their last two parts.
        quarantines = _excluded([part.excluded or "" for part in lessened])
        selects.append(
            f"SELECT r.*{hidden} FROM {_moved([piece for part in lessened for piece in part.moved])} r "
            f"ANTI JOIN {quarantines} q ON r.{ROW} = q._row AND {_ending(f'r.{FILE}')} = {_ending('q._file')}"
        )
    return "(" + " UNION ALL BY NAME ".join(selects) + ")"


def _excluded(uris: Sequence[str]) -> str:
    listed = file_literals(uris)
    return f"(SELECT _file, _row FROM read_parquet([{listed}], hive_partitioning=false))"


def _ending(path: str) -> str:
    return f"list_slice(string_split({path}, '/'), -2, -1)"


def _moved(moved: Sequence[Moved]) -> str:
    """Return the rows of replaced files, located as they were.

    The files that hold them are scanned once; each row finds the file it was by its load, which also lets a scan pass
    over the row groups of other loads.
    """
    rows = ", ".join(
        f"({literal(piece.uri)}, {piece.load}, {piece.first}, {piece.first + piece.rows}, {literal(piece.was)})"
        for piece in moved
    )
    loads = [piece.load for piece in moved]
    scan = parquet(list(dict.fromkeys(piece.uri for piece in moved)), located=True)
    return (
        f"(SELECT s.* REPLACE (m.was AS {FILE}, s.{ROW} - m.first AS {ROW}) FROM {scan} s "
        f"JOIN (VALUES {rows}) m(uri, load, first, ending, was) ON s.{FILE} = m.uri AND s.{LOAD} = m.load "
        f"AND s.{ROW} >= m.first AND s.{ROW} < m.ending "
        f"WHERE s.{LOAD} BETWEEN {min(loads)} AND {max(loads)})"
    )


def set_aside(part: FileSet) -> str:
    """Return a relation over the excluded rows of a file set, which has some."""
    everything = accepted([FileSet(part.uris, None, part.moved)], located=True)
    return (
        f"(SELECT r.* FROM {everything} r SEMI JOIN {_excluded([part.excluded or ''])} q "
        f"ON r.{ROW} = q._row AND {_ending(f'r.{FILE}')} = {_ending('q._file')})"
    )


def restored(relation: str, columns: Sequence[tuple[str, str]]) -> str:
    """Return a relation with the types that were stored otherwise turned back into the originals.

    Args:
        relation: A FROM-clause relation with the stored types.
        columns: Name and original DuckDB type.
    """
    listed = ", ".join(f"{restore(identifier(name), type_)} AS {identifier(name)}" for name, type_ in columns)
    return f"(SELECT {listed} FROM {relation})"
