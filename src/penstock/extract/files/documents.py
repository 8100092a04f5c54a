"""JSON and Parquet files as relations; JSON is inferred over the whole, big integers and mixed types kept."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import duckdb

from penstock.errors import ConfigurationError, DataError
from penstock.extract.files.joining import MOST, joined
from penstock.extract.files.listing import Content, File, head
from penstock.names import unknown
from penstock.queries.text import file_literals, identifier, literal
from penstock.queries.widening import UNTYPED
from penstock.schema import Type, parse, spell

_LONG = r"(^|[:\[,\s])-?\d{16,}($|[,\]}\s])"
_DETAIL = "sample_size=-1, map_inference_threshold=-1"
_WITH_MAPS = "sample_size=-1"
_MOST_KEYS = 200
"""Keys of an object, over all records, beyond which it may be a map, if most records lack most of them."""
_LARGEST_RECORD = 16 * 2**20
_NUMBERED = re.compile(r"(.+)_\d+")


def json_relation(
    session: duckdb.DuckDBPyConnection,
    files: Sequence[tuple[File, Content]],
    file_column: str,
    records: str | None,
) -> tuple[str | None, list[str]]:
    """Return a query over JSON files of one layout (None for no records at all), and sentences for the user.

    Args:
        session: A DuckDB to ask.
        files: Files of one format and compression.
        file_column: The column that names each row's file.
        records: Dotted path to the list of records within the document; None for a list, one object or lines.

    Raises:
        DataError: If a file is no JSON.
        ConfigurationError: If there is no list at ``records``.
    """
    scan = _scan(files, layout(*files[0]), file_column)
    notes: list[str] = []
    types = _types(session, files, file_column, notes)
    if not types:
        return None, [f"{files[0][0].key} holds no records"]
    mixed = [name for name, type_ in types.items() if type_ == "JSON"]
    notes += [f"{name} holds values of several types; it is read as JSON text" for name in mixed]
    doubtful = any(content.long_numbers for _, content in files) and any("DOUBLE" in type_ for type_ in types.values())
    if not _has_renamed([(name, parse(type_)) for name, type_ in types.items()]):
        exact = _exact(session, scan, types, notes) if doubtful else types
        exact = _untyped(session, scan, exact)
        scan = _forced(scan, {name: type_ for name, type_ in exact.items() if name != file_column})
    elif doubtful:
        raise DataError(
            f"{files[0][0].key} has numbers of many digits, which DOUBLE might round, and keys that differ only by "
            "case, whose types cannot be named one by one",
            remedy="Write such numbers as texts",
        )
    if records is not None:
        return _records(session, scan, files[0][0], identifier(file_column), records), notes
    return f"SELECT * FROM {scan}", notes


def _types(
    session: duckdb.DuckDBPyConnection,
    files: Sequence[tuple[File, Content]],
    file_column: str,
    notes: list[str],
) -> dict[str, str]:
    """Return the columns and types that hold all records; empty where there is none."""
    how = layout(*files[0])
    if how == "newline_delimited" and len(files) > MOST:
        with joined(files) as together, suppress(duckdb.InvalidInputException):
            return _types(session, together, file_column, notes)
        # A line that is no JSON: read file by file, it is named by its file.
    scan = _scan(files, how, file_column)
    types = _describe(session, scan)
    if any(_is_wide(parse(type_)) for type_ in types.values()):
        types = _mapped(types, _describe(session, scan.replace(_DETAIL, _WITH_MAPS, 1)), notes)
    plain = types.get("json") == "JSON" and len(types) == 2
    return {} if plain and not session.execute(f"SELECT 1 FROM {scan} LIMIT 1").fetchone() else types


def layout(file: File, content: Content) -> str:
    """Return DuckDB's name for how the records lie in a JSON file, whatever its suffix says."""
    start = head(file, content, 4096).decode("utf-8-sig", "replace").lstrip()
    if start.startswith("["):
        return "array"
    return "newline_delimited" if file.format == "jsonl" else "unstructured"


def parquet_relation(files: Sequence[File], file_column: str) -> str:
    """Return a query over Parquet files, united by column name."""
    listed = file_literals(file.path for file in files)
    return (
        f"SELECT * FROM read_parquet([{listed}], union_by_name=true, hive_partitioning=false, "
        f"filename={literal(file_column)})"
    )


def _scan(files: Sequence[tuple[File, Content]], how: str, file_column: str) -> str:
    listed = file_literals(file.path for file, _ in files)
    # A document that is not a list of records is one record, as large as the file.
    largest = _LARGEST_RECORD if how != "unstructured" else max(_LARGEST_RECORD, *(c.bytes + 1024 for _, c in files))
    return (
        f"read_json([{listed}], format='{how}', {_DETAIL}, maximum_object_size={largest}, union_by_name=true, "
        f"filename={literal(file_column)}, compression='{files[0][1].compression or 'none'}')"
    )


def _forced(scan: str, types: dict[str, str]) -> str:
    columns = ", ".join(f"{literal(name)}: {literal(type_)}" for name, type_ in types.items())
    return f"{scan[:-1]}, columns={{{columns}}})"


def _describe(session: duckdb.DuckDBPyConnection, scan: str) -> dict[str, str]:
    return {row[0]: row[1] for row in session.execute(f"DESCRIBE SELECT * FROM {scan}").fetchall()}


def _is_wide(type_: Type) -> bool:
    return (type_.name == "STRUCT" and len(type_.members) > _MOST_KEYS) or any(_is_wide(m) for _, m in type_.members)


def _mapped(types: dict[str, str], coarse: dict[str, str], notes: list[str]) -> dict[str, str]:
    """Return the types with maps in the place of objects whose keys vary, where DuckDB finds that they do."""
    found = {}
    for name, type_ in types.items():
        exact = parse(type_)
        met = _with_maps(exact, parse(coarse[name])) if name in coarse else exact
        found[name] = type_ if met == exact else spell(met)
        if met != exact:
            notes.append(
                f"{name} holds objects of more than {_MOST_KEYS} keys, most of them rare; they are read as maps"
            )
    return found


def _with_maps(exact: Type, coarse: Type) -> Type:
    if exact.name == "STRUCT" and coarse.name == "MAP":
        return coarse if len(exact.members) > _MOST_KEYS else exact
    if exact.name != coarse.name:
        return exact
    twins = dict(coarse.members)
    return replace(exact, members=tuple((n, _with_maps(m, twins[n]) if n in twins else m) for n, m in exact.members))


def _has_renamed(fields: Sequence[tuple[str, Type]]) -> bool:
    """Say whether DuckDB gave a key another name because it differs from its neighbour only by case.

    By such a name, as ``A_1`` beside ``a``, the key cannot be asked for.
    """
    lower = {name.lower() for name, _ in fields}
    for name, type_ in fields:
        match = _NUMBERED.fullmatch(name)
        if (match is not None and match[1].lower() in lower) or _has_renamed(type_.members):
            return True
    return False


def _exact(session: duckdb.DuckDBPyConnection, scan: str, types: dict[str, str], notes: list[str]) -> dict[str, str]:
    """Return the types with JSON in the place of each DOUBLE, however deep, that would round an integer."""
    leaves = [(name, path) for name, type_ in types.items() for path in _doubles(parse(type_), "$")]
    if not leaves:
        return types
    as_json = _forced(scan, dict.fromkeys((name for name, _ in leaves), "JSON"))
    values = [f"CAST(json_extract({identifier(name)}, {literal(path)}) AS VARCHAR)" for name, path in leaves]
    flags = ", ".join(f"bool_or(regexp_matches({value}, {literal(_LONG)}))" for value in values)
    row = session.execute(f"SELECT {flags} FROM {as_json}").fetchone() or ()
    inexact = {leaf for leaf, flag in zip(leaves, row, strict=False) if flag}
    for name, path in sorted(inexact):
        notes.append(f"{name}{path[1:]} holds numbers with more digits than DOUBLE carries; it is read as JSON text")
    found = dict(types)
    for name in {name for name, _ in inexact}:
        paths = {path for leaf, path in inexact if leaf == name}
        found[name] = spell(_replaced(parse(types[name]), "$", paths))
    return found


def _untyped(session: duckdb.DuckDBPyConnection, scan: str, types: dict[str, str]) -> dict[str, str]:
    """Return the types with NULL for the elements of lists that are always empty; DuckDB says JSON of them.

    So they take, or keep, the type that other files or loads give them.
    """
    names = [name for name, type_ in types.items() if "JSON[" in type_]
    if not names:
        return types
    listed = ", ".join(f"json_group_structure({identifier(name)})" for name in names)
    row = session.execute(f"SELECT {listed} FROM {_forced(scan, dict.fromkeys(names, 'JSON'))}").fetchone() or ()
    found = dict(types)
    for name, structure in zip(names, row, strict=False):
        found[name] = spell(_without_empty(parse(types[name]), json.loads(structure or '"NULL"')))
    return found


def _without_empty(type_: Type, structure: Any) -> Type:
    """Return a type with NULL where it says JSON and the structure of the values knows none."""
    if type_.name == "STRUCT":
        known = structure if isinstance(structure, dict) else {}
        return replace(type_, members=tuple((n, _without_empty(m, known.get(n, "NULL"))) for n, m in type_.members))
    if type_.name != "LIST":
        return type_
    element, inner = structure[0] if isinstance(structure, list) and structure else "NULL", type_.members[0][1]
    empty = inner.name == "JSON" and element == "NULL"
    return replace(type_, members=(("element", Type(UNTYPED) if empty else _without_empty(inner, element)),))


def _doubles(type_: Type, path: str) -> list[str]:
    """Return the JSON paths of the doubles in a type."""
    if type_.name == "DOUBLE":
        return [path]
    return [found for step, member in _members(type_) for found in _doubles(member, path + step)]


def _replaced(type_: Type, path: str, inexact: set[str]) -> Type:
    if path in inexact:
        return Type("JSON")
    members = [_replaced(member, path + step, inexact) for step, member in _members(type_)]
    names = [name for name, _ in type_.members]
    return replace(type_, members=tuple(zip(names, members, strict=True)))


def _members(type_: Type) -> list[tuple[str, Type]]:
    if type_.name == "STRUCT":
        return [('."' + name.replace('"', '\\"') + '"', member) for name, member in type_.members]
    return [(".*" if type_.name == "MAP" else "[*]", member) for _, member in type_.members]


def _records(session: duckdb.DuckDBPyConnection, scan: str, file: File, column: str, records: str) -> str:
    steps = records.split(".")
    known = _describe(session, scan)
    if steps[0] not in known:
        raise unknown(
            "key", steps[0], [name for name in known if identifier(name) != column], where=f"records of {file.key}"
        )
    path = ".".join(identifier(step) for step in steps)
    try:
        found = session.execute(f"SELECT typeof({path}) FROM {scan} LIMIT 1").fetchone()
    except duckdb.Error:
        raise ConfigurationError(f"There is nothing at records={records!r} in {file.key}", valid=_keys(known)) from None
    type_ = found[0] if found else ""
    if not str(type_).endswith("[]"):
        raise ConfigurationError(f"There is no list at records={records!r} in {file.key}", value=type_)
    if not str(type_).startswith("STRUCT"):
        raise DataError(f"The list at records={records!r} in {file.key} holds no objects of one shape", value=type_)
    return f"SELECT unnest(_record), {column} FROM (SELECT unnest({path}) AS _record, {column} FROM {scan})"


def _keys(known: dict[str, str]) -> list[str]:
    return [f"{name} ({type_[:60]})" for name, type_ in known.items()]
