"""How a source is read: the arguments that every kind of source takes, checked once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypedDict, TypeVar

from penstock.errors import ConfigurationError
from penstock.model.contracts import Contract, OnChange
from penstock.model.durations import parse_duration
from penstock.model.specs import Deletes, Nested, OnEmpty, OnNullCursor, Protection, Reconcile, SourceSpec, WriteMode
from penstock.names import nearest, unknown
from penstock.schema import NATIVE, known, parse, spell

Choice = TypeVar("Choice", bound=StrEnum)

SNAPSHOT = "snapshot"
ANY = "any"
_KEYED = (WriteMode.MERGE, WriteMode.SCD2)


class Reading(TypedDict, total=False):
    """What every kind of source takes.

    Attributes:
        write: ``append``, ``replace``, ``merge``, or ``scd2``: every state that a key had, with the time it was valid.
        key: The column or columns that name a row; needed for merge and scd2.
        cursor: The column that says how far was read; it also decides which of two rows with one key is newer.
        lag: How far behind the cursor reading begins again, for late rows: ``"2h"`` or a timedelta.
        on_null_cursor: What becomes of rows without a cursor value: ``include`` (each load reads them, and lands what
            is new), ``exclude`` (they are left out and counted) or ``raise``.
        horizon: Tables of PostgreSQL: read what was committed since the last reading, told by transactions, so that a
            row that was committed late is found whatever its cursor value. A lag bounds how far back is looked.
        interval: The column by which the source is read interval by interval of the pipeline's schedule.
        event_time: Of a source that is read by cursor: the column that says when the event of a row happened. Late rows
            then reopen just the intervals of transforms in which they lie, and those of the rows that they replace.
        reconcile: What is compared between source, raw zone and warehouse after every load: ``counts``, ``sums``,
            ``hashes`` or ``off``.
        on_empty: Where the source is read whole: ``empty`` the table when nothing comes, or ``refuse``.
        deletes: How the source says that a row is deleted: ``"deleted_at"``, a column that is true or not null then;
            ``{"column": "op", "values": ["D"]}``; ``{"column": "deleted_at", "values": "any"}`` for a number that is
            not null then; or ``"snapshot"``: the source is read whole, and a key that it lacks is deleted.
        nested: How nested values stand in the warehouse: ``columns`` (as they came: STRUCT and LIST), ``tables``
            (objects as columns ``a__b``, lists of objects as child tables) or ``json``.
        max_depth: For ``nested="tables"``: how many levels are taken apart (10); what lies deeper is JSON.
        max_child_tables: For ``nested="tables"``: the most child tables (20); further lists of objects are JSON.
        forget_after: How long a deleted key is remembered, so that an older row that comes does not bring it back.
        personal: The columns with personal values, which are tokenised before they reach a disk; or column to how:
            ``tokenise``, ``encrypt``, ``mask`` or ``null``. A dotted path names a field within a column.
        contract: What the columns and types may do: ``evolve``, ``freeze`` or ``discard``, or a mapping with
            ``columns``, ``types`` and ``each``, which names single columns and their word or type.
        silent_after: How long the source may bring nothing new before an alert says so, as ``"36h"``; without it, that
            is learned from when something new came before.
    """

    write: str
    nested: str
    max_depth: int
    max_child_tables: int
    key: str | Sequence[str]
    cursor: str | None
    lag: str | timedelta
    on_null_cursor: str
    horizon: bool
    interval: str | None
    event_time: str | None
    on_empty: str
    reconcile: str
    deletes: str | Mapping[str, Any] | None
    forget_after: str | timedelta | None
    personal: str | Sequence[str] | Mapping[str, str]
    contract: str | Mapping[str, Any]
    silent_after: str | timedelta | None


def read_as(spec: SourceSpec, reading: Reading | Mapping[str, Any]) -> SourceSpec:
    """Return the source with the arguments of ``Reading`` filled in.

    Raises:
        ConfigurationError: An argument is misspelt, a value is not known, or they do not fit each other.
    """
    for name in reading:
        if name not in Reading.__annotations__:
            raise unknown("argument", name, Reading.__annotations__, where=f"source {spec.table!r}")
    lag, forget = reading.get("lag", timedelta(0)), reading.get("forget_after")
    found = replace(
        spec,
        write=_choice(WriteMode, reading.get("write", "append"), f"write mode of source {spec.table!r}"),
        key=_names(reading.get("key", ())),
        cursor=reading.get("cursor"),
        lag=parse_duration(lag) if isinstance(lag, str) else lag,
        on_null_cursor=_choice(
            OnNullCursor, reading.get("on_null_cursor", "include"), f"on_null_cursor of source {spec.table!r}"
        ),
        horizon=bool(reading.get("horizon", False)),
        interval=reading.get("interval"),
        event_time=reading.get("event_time"),
        on_empty=_choice(OnEmpty, reading.get("on_empty", "empty"), f"on_empty of source {spec.table!r}"),
        reconcile=_choice(Reconcile, reading.get("reconcile", "counts"), f"reconcile of source {spec.table!r}"),
        nested=_choice(Nested, reading.get("nested", "columns"), f"nested of source {spec.table!r}"),
        max_depth=reading.get("max_depth", spec.max_depth),
        max_child_tables=reading.get("max_child_tables", spec.max_child_tables),
        deletes=_deletes(reading.get("deletes"), spec.table),
        forget_after=parse_duration(forget) if isinstance(forget, str) else forget,
        personal=_personal(reading.get("personal", ()), spec.table),
        contract=_contract(reading.get("contract", {}), spec.table),
        silent_after=_silence(reading.get("silent_after"), spec.table),
    )
    _refuse_personal_uses(found)
    if found.write in _KEYED and not found.key:
        does = "merges" if found.write is WriteMode.MERGE else "keeps a history"
        raise ConfigurationError(
            f"Source {found.table!r} {does} but has no key", remedy="Say which columns name a row: key=…"
        )
    if found.interval is not None and found.write is WriteMode.REPLACE:
        raise ConfigurationError(
            f"Source {found.table!r} is read interval by interval, but its write mode replaces the whole table: "
            "each interval would throw out the one before",
            value=f"interval={found.interval!r}",
            valid=[mode.value for mode in WriteMode if mode is not WriteMode.REPLACE],
            remedy="An interval that is read again replaces its own rows in every write mode: write='append'",
        )
    if found.event_time and found.interval:
        raise ConfigurationError(
            f"Source {found.table!r} is read interval by interval, which says already when its rows happened",
            value=f"event_time={found.event_time!r}",
            remedy="Drop event_time, or read it by cursor",
        )
    _check_deletes(found)
    if found.lag and not found.cursor:
        raise ConfigurationError(f"Source {found.table!r} has a lag but no cursor", remedy="Add cursor=… or drop lag")
    _check_horizon(found)
    _check_nested(found)
    return found


def _silence(value: str | timedelta | None, table: str) -> timedelta | None:
    """Return how long a source may bring nothing new."""
    if value is None:
        return None
    try:
        found = parse_duration(value)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"The silent_after of source {table!r} is no duration", value=error.value, valid=error.valid
        ) from None
    if not found:
        raise ConfigurationError(
            f"The silent_after of source {table!r} is zero: it would be silent at once",
            value=value,
            remedy="Leave it out, and its history says what is usual",
        )
    return found


def _check_nested(source: SourceSpec) -> None:
    if source.nested is Nested.TABLES and source.write is WriteMode.SCD2:
        raise ConfigurationError(
            f"Source {source.table!r} keeps a history, whose versions cannot have child tables",
            value="nested='tables'",
            valid=["columns", "json"],
            remedy="Unnest the lists in a transform over the history",
        )
    for argument, value, least in (
        ("max_depth", source.max_depth, 1),
        ("max_child_tables", source.max_child_tables, 0),
    ):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ConfigurationError(
                f"The {argument} of source {source.table!r} is no number", value=value, valid=f"{least} or more"
            )


def _check_horizon(source: SourceSpec) -> None:
    if not source.horizon:
        return
    if source.kind not in ("sql", "postgres"):
        raise ConfigurationError(
            f"Source {source.table!r} has a horizon, and only tables of PostgreSQL have one", value=source.kind
        )
    if source.cursor is None:
        raise ConfigurationError(
            f"Source {source.table!r} has a horizon but no cursor", remedy="Add cursor=… or drop horizon"
        )
    if source.interval is not None or source.write is WriteMode.REPLACE:
        raise ConfigurationError(
            f"Source {source.table!r} has a horizon, but is not read by its cursor",
            value=f"interval={source.interval!r}" if source.interval else "write='replace'",
            remedy="Drop horizon, or read it by cursor with write='append' or 'merge'",
        )


def _personal(given: str | Sequence[str] | Mapping[str, str], table: str) -> Mapping[str, str]:
    wanted = dict(given) if isinstance(given, Mapping) else dict.fromkeys(_names(given), Protection.TOKENISE.value)
    taken: dict[str, str] = {}
    for path, how in wanted.items():
        if not all(path.split(".")):
            raise ConfigurationError(f"A personal column of source {table!r} has no name", value=path)
        if how not in list(Protection):
            raise unknown(
                "protection",
                how,
                [each.value for each in Protection],
                where=f"personal column {path!r} of source {table!r}",
            )
        for other, spelt in taken.items():
            if path.lower() == other or path.lower().startswith(f"{other}.") or other.startswith(f"{path.lower()}."):
                raise ConfigurationError(f"{path!r} is named as personal twice (source {table!r})", value=spelt)
        taken[path.lower()] = path
    return {path: Protection(how).value for path, how in wanted.items()}


def _refuse_personal_uses(source: SourceSpec) -> None:
    """Refuse a personal column where its values would be written down, or could not do what they are for."""
    personal = {path.lower(): how for path, how in source.personal.items()}
    for name, use in (
        (source.cursor, "cursor"),
        (source.interval, "interval"),
        (source.event_time, "event_time"),
    ):
        if name is not None and name.lower() in personal:
            raise ConfigurationError(
                f"The {use} of source {source.table!r} is a personal column: where reading stopped would be "
                "written down with a value of it",
                value=name,
                remedy=f"Go by another column as {use}, or take it out of personal",
            )
    deletes = source.deletes.column if source.deletes is not None else None
    if deletes is not None and deletes.lower() in personal:
        raise ConfigurationError(
            f"The column by which source {source.table!r} says that a row is deleted is personal: "
            "what it says could no longer be read",
            value=deletes,
            remedy="Take it out of personal",
        )
    for name in source.key:
        if personal.get(name.lower()) in (Protection.MASK, Protection.NULL):
            raise ConfigurationError(
                f"The key column {name!r} of source {source.table!r} would no longer tell rows apart",
                value=personal[name.lower()],
                valid="tokenise or encrypt, by which equal values stay equal",
            )


def _names(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _choice(kind: type[Choice], value: str, what: str) -> Choice:
    try:
        return kind(value)
    except ValueError:
        raise ConfigurationError(f"The {what} is not known", value=value, valid=[item.value for item in kind]) from None


def _deletes(value: str | Mapping[str, Any] | None, table: str) -> Deletes | None:
    """Return what ``deletes=`` says."""
    if value is None:
        return None
    if value == SNAPSHOT:
        return Deletes()
    if isinstance(value, str) and value:
        return Deletes(column=value)
    column = value.get("column") if isinstance(value, Mapping) else None
    values = value.get("values", ()) if isinstance(value, Mapping) else ()
    plain = values == ANY or (
        isinstance(values, list | tuple) and all(isinstance(each, str | int | float) for each in values)
    )
    known = isinstance(value, Mapping) and set(value) <= {"column", "values"}
    if not known or not isinstance(column, str) or not column or not plain:
        raise ConfigurationError(
            f"The deletes of source {table!r} are not understood",
            value=repr(value),
            valid='a column; {"column": "op", "values": ["D"]}; {"column": "deleted", "values": "any"}; or "snapshot"',
        )
    return (
        Deletes(column=column)
        if not values
        else (Deletes(column=column, any_value=True) if values == ANY else Deletes(column=column, values=tuple(values)))
    )


def _check_deletes(source: SourceSpec) -> None:
    """Refuse what does not go with deletes."""
    deletes, name = source.deletes, f"Source {source.table!r}"
    if deletes is None:
        if source.forget_after is not None:
            raise ConfigurationError(
                f"{name} has forget_after but no deletes", remedy="Add deletes=… or drop forget_after"
            )
        return
    if source.write not in _KEYED:
        raise ConfigurationError(
            f"{name} has deletes, which its write mode cannot carry out",
            value=source.write.value,
            valid=[mode.value for mode in _KEYED],
            remedy="Rows of replace leave by themselves; for append, choose merge and a key",
        )
    if source.forget_after is not None and (deletes.by_snapshot or source.write is WriteMode.SCD2):
        raise ConfigurationError(
            f"{name} has forget_after, but nothing that it could forget",
            remedy="Drop forget_after: snapshots and histories need no memory of deleted keys",
        )
    if deletes.column in source.key:
        raise ConfigurationError(f"{name} has its deletes in a column of its key", value=deletes.column)
    for argument, value in (("cursor", source.cursor), ("interval", source.interval)):
        if deletes.by_snapshot and value:
            raise ConfigurationError(
                f"{name} compares snapshots, for which it is read whole, but has the {argument} {value!r}",
                remedy=f"Drop {argument}, or say deletions by a column: deletes=…",
            )


def _contract(value: str | Mapping[str, Any], table: str) -> Contract:
    """Read a contract: a word for columns and types, or a mapping."""
    where = f"contract of source {table!r}"
    if isinstance(value, str):
        word = _word(value, where)
        return Contract(columns=word, types=word)
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"The {where} is neither a word nor a mapping", value=value, valid=list(OnChange))
    for name in value:
        if name not in _SAID:
            raise unknown("argument", name, _SAID, where=where)
    each = value.get("each", {})
    if not isinstance(each, Mapping):
        raise ConfigurationError(f"each of the {where} is no mapping", value=each, valid='as {"amount": "freeze"}')
    return Contract(
        columns=_word(value.get("columns", "evolve"), f"columns of the {where}"),
        types=_word(value.get("types", "evolve"), f"types of the {where}"),
        each={name: _rule(said, f"column {name!r} of the {where}") for name, said in each.items()},
    )


_SAID = ("columns", "types", "each")


def _word(value: Any, what: str) -> OnChange:
    words = [word.value for word in OnChange]
    if value not in words:
        guess = nearest(str(value), words)
        raise ConfigurationError(
            f"The word for {what} is not known",
            value=value,
            valid=words,
            remedy=f"Did you mean {guess!r}?" if guess else None,
        )
    return OnChange(value)


def _rule(value: Any, what: str) -> str:
    """Return the word or the type for one column."""
    words = [word.value for word in OnChange]
    if value in words:
        return str(value)
    with suppress(ValueError):
        type_ = parse(str(value))
        if known(type_):
            return spell(type_)
    guess = nearest(str(value), words) or nearest(str(value).upper(), sorted(NATIVE))
    raise ConfigurationError(
        f"The rule for {what} is neither a word nor a type",
        value=value,
        valid=[*words, "a type of DuckDB, as VARCHAR or DECIMAL(12,2)"],
        remedy=f"Did you mean {guess!r}?" if guess else None,
    )
