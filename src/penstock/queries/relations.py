"""Relations over Parquet files, as SQL that stands in a FROM clause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from penstock.queries.text import identifier, literal
from penstock.schema import restore

FILE = "_penstock_file"
"""Each row's file, as the path given."""
ROW = "_penstock_row"
"""Each row's position in its file, from 0."""


@dataclass(frozen=True, slots=True)
class FileSet:
    """Files read together.

    Attributes:
        uris: The Parquet files, in the order of their rows.
        excluded: A Parquet file with columns ``_file`` (as in ``uris``, by its ending) and ``_row``: rows left out.
    """

    uris: tuple[str, ...]
    excluded: str | None = None


def parquet(uris: Sequence[str], *, located: bool = False) -> str:
    """Return ``read_parquet`` over files whose schemas are united by name; columns of the path are left out.

    Args:
        uris: At least one file.
        located: Add the columns ``FILE`` and ``ROW``.
    """
    listed = ", ".join(literal(uri) for uri in uris)
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
    """Return a relation over several file sets without their excluded rows.

    Sets without exclusions are read in one scan. The union is by name, so columns that a set lacks are null.
    """
    whole = [uri for part in sets if part.excluded is None for uri in part.uris]
    selects = [f"SELECT * FROM {parquet(whole, located=located)}"] if whole else []
    for part in sets:
        if part.excluded is None or not part.uris:
            continue
        hidden = "" if located else f" EXCLUDE ({FILE}, {ROW})"
        selects.append(
            f"SELECT r.*{hidden} FROM {parquet(part.uris, located=True)} r "
            f"ANTI JOIN (SELECT _file, _row FROM read_parquet({literal(part.excluded)}, hive_partitioning=false)) q "
            f"ON r.{ROW} = q._row AND ends_with(r.{FILE}, q._file)"
        )
    return "(" + " UNION ALL BY NAME ".join(selects) + ")"


def restored(relation: str, columns: Sequence[tuple[str, str]]) -> str:
    """Return a relation with the types that were stored otherwise turned back into the originals.

    Args:
        relation: A FROM-clause relation with the stored types.
        columns: Name and original DuckDB type.
    """
    listed = ", ".join(f"{restore(identifier(name), type_)} AS {identifier(name)}" for name, type_ in columns)
    return f"(SELECT {listed} FROM {relation})"
