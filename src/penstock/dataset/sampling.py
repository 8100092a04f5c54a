"""The samples of a training set: label, moment, split and place in the order, as SQL over the table they come from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from penstock.dataset.joining import AT, INTERNAL, PLACE, Join, find, key, moment, resolve
from penstock.dataset.manifest import GROUP
from penstock.errors import ConfigurationError
from penstock.model.specs import DatasetSpec, SplitSpec
from penstock.queries.edges import expression
from penstock.queries.text import identifier, literal
from penstock.values import dataclass

SPLIT = "_penstock_split"
_HASH = "_penstock_hash"
_UNITS = 2**52
_SPLIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True)
class Layout:
    """A training set, checked against the columns of its tables.

    Attributes:
        spec: The declaration.
        columns: The columns of the table of samples that are kept, in order.
        event_time: The column with the moment of a sample.
        at: SQL of that moment.
        group: The columns of the group.
        joins: The point-in-time joins.
        roles: Column of the result to its role, in the order of the columns.
        notes: Sentences for the user.
    """

    spec: DatasetSpec
    columns: tuple[str, ...]
    event_time: str | None
    at: str
    group: tuple[str, ...]
    joins: tuple[Join, ...]
    roles: Mapping[str, str]
    notes: tuple[str, ...]


def lay_out(spec: DatasetSpec, tables: Mapping[str, Mapping[str, str]]) -> Layout:
    """Check a declaration against the columns of its tables.

    Args:
        spec: The declaration.
        tables: Table to its columns and their DuckDB types.

    Raises:
        ConfigurationError: A column is missing or has an unfit type, names collide, or the split cannot be.
    """
    where = f"training set {spec.name!r}"
    samples = tables[spec.table]
    read = [find(name, samples, where=f"label of {where}") for name in label_columns(spec)]
    event_time = find(spec.event_time, samples, where=where) if spec.event_time else None
    if spec.features and event_time is None:
        raise ConfigurationError(
            f"Features need the moment of each sample ({where})",
            remedy='Add event_time="COLUMN", of the label\'s table',
        )
    if spec.rows_per_shard < 1:
        raise ConfigurationError(f"rows_per_shard must be at least 1 ({where})", value=spec.rows_per_shard)
    check_split(spec.split, where=where)
    group = tuple(find(name, samples, where=f"split of {where}") for name in (spec.split.by if spec.split else ()))
    joins = tuple(resolve(feature, samples, tables[feature.table], where=where) for feature in spec.features)
    columns, notes = _kept(spec, samples, read, event_time)
    return Layout(
        spec=spec,
        columns=columns,
        event_time=event_time,
        at=moment(event_time, samples[event_time], late=False, where=where) if event_time else "NULL::TIMESTAMPTZ",
        group=group,
        joins=joins,
        roles=_roles(spec, columns, event_time, joins),
        notes=notes,
    )


def label_columns(spec: DatasetSpec) -> tuple[str, ...]:
    """Return the columns that the label is computed from."""
    return expression(spec.label, origin=f"The label of training set {spec.name!r}", table=spec.table)


def check_split(split: SplitSpec | None, *, where: str) -> None:
    """Refuse a split whose shares are no shares or whose names cannot name files."""
    if split is None:
        return
    shares = list(split.shares.values())
    if not split.by or not shares or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
        raise ConfigurationError(
            f"The shares of a split must be positive and sum to 1, by at least one column ({where})",
            value=str(dict(split.shares)),
            remedy='As split_by("tailnum", train=0.8, test=0.2)',
        )
    for name in split.shares:
        if not _SPLIT_NAME.fullmatch(name):
            raise ConfigurationError(
                f"A split's name must be letters, digits, hyphens and underscores ({where})", value=name
            )


def samples_query(layout: Layout, relation: str) -> str:
    """Return the query of the labelled samples, without features.

    Which split a sample belongs to follows from its group alone: the first 13 hex digits of ``md5(seed, group)``, as a
    part of 16^13, lie below the running sum of the shares, splits in the order of their names. A sample whose group is
    null in every column goes by its own content. Its place within the split follows from its content and the seed.

    Args:
        layout: The training set.
        relation: The table of samples, as SQL that stands in a FROM clause.

    Returns:
        Columns ``SPLIT``, ``PLACE`` (splits in the order of their names), ``AT``, the keys of the joins, ``GROUP``
        where there is a split, then the kept columns and the label.
    """
    spec = layout.spec
    split = spec.split
    seed = split.seed if split else 0
    keys = [
        f"{identifier(left)} AS {key(number, place)}"
        for number, join in enumerate(layout.joins)
        for place, (left, _) in enumerate(join.keys)
    ]
    kept = [identifier(column) for column in layout.columns]
    label = f"({spec.label}\n) AS {identifier(spec.label_name)}"
    hidden = dict.fromkeys([*(left for join in layout.joins for left, _ in join.keys), *layout.group])
    content = [identifier(name) for name in dict.fromkeys([*layout.columns, *hidden])]
    everything = _text([*content, f"({spec.label}\n)"])
    parts = [f"{layout.at} AS {AT}", *keys, f"md5({literal(f'{seed}:')} || {everything}) AS {_HASH}"]
    if split is not None:
        group = [identifier(name) for name in layout.group]
        absent = " AND ".join(f"{name} IS NULL" for name in group)
        hashed = f"substr(md5({literal(f'{seed}:')} || {_text(group)}), 1, 16)"
        parts.append(f"CASE WHEN {absent} THEN NULL ELSE {hashed} END AS {GROUP}")
    inner = f"SELECT {', '.join([*parts, *kept, label])} FROM {relation} AS {identifier(spec.table)}"
    placed = f"SELECT *, {split_sql(split)} AS {SPLIT} FROM ({inner}) WHERE {identifier(spec.label_name)} IS NOT NULL"
    return f"SELECT * EXCLUDE ({_HASH}), row_number() OVER (ORDER BY {SPLIT}, {_HASH}) - 1 AS {PLACE} FROM ({placed})"


def split_sql(split: SplitSpec | None, hashed: str = f"coalesce({GROUP}, md5('alone:' || {_HASH}))") -> str:
    """Return the SQL that gives the split of a sample from the hex digits of its hash."""
    if split is None:
        return "'train'"
    digits = f"CAST('0x' || substr({hashed}, 1, 13) AS BIGINT)"
    ordered = sorted(split.shares)
    bounds, total = [], 0.0
    for name in ordered[:-1]:
        total += split.shares[name]
        bounds.append(f"WHEN {digits} < {round(total * _UNITS)} THEN {literal(name)}")
    last = literal(ordered[-1])
    return f"CASE {' '.join(bounds)} ELSE {last} END" if bounds else last


def _kept(
    spec: DatasetSpec, samples: Mapping[str, str], read: Sequence[str], event_time: str | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Choose the columns of the table of samples; without a choice what the label is computed from stays out."""
    where = f"training set {spec.name!r}"
    if spec.columns:
        chosen = [find(name, samples, where=where) for name in spec.columns]
        inside = [name for name in read if name in chosen and name != event_time]
        notes = [f"The label is computed from {name}, which is also a column of the training set" for name in inside]
    else:
        out = [name for name in read if name != event_time]
        chosen = [name for name in samples if name not in out and name.lower() not in INTERNAL]
        notes = [f"{', '.join(out)} left out: the label is computed from it"] if out else []
    if event_time is not None and event_time not in chosen:
        chosen.append(event_time)
    return tuple(dict.fromkeys(chosen)), tuple(notes)


def _roles(spec: DatasetSpec, columns: Sequence[str], event_time: str | None, joins: Sequence[Join]) -> dict[str, str]:
    roles: dict[str, str] = {}
    taken: dict[str, str] = {}
    listed = [(column, "event_time" if column == event_time else "column") for column in columns]
    listed.append((spec.label_name, "label"))
    for join in joins:
        listed += [(part.name, "feature") for part in join.taken]
        listed.append((join.known_at, "known_at"))
    if spec.split is not None:
        listed.append((GROUP, "group"))
    for name, role in listed:
        if name.lower() in taken:
            raise ConfigurationError(
                f"Training set {spec.name!r} would have two columns of the same name: "
                f"a {taken[name.lower()]} and a {role}",
                value=name,
                remedy='Choose columns=[…], label_name="…" or a prefix of the features, so that they differ',
            )
        taken[name.lower()] = role
        roles[name] = role
    return roles


def _text(expressions: Sequence[str]) -> str:
    """Return SQL of one text that differs where any of the values differs, null included."""
    if not expressions:
        return "''"
    parts = [f"CASE WHEN {each} IS NULL THEN chr(30) ELSE CAST({each} AS VARCHAR) END" for each in expressions]
    return "(" + " || chr(31) || ".join(parts) + ")"
