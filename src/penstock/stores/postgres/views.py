"""What a swap does to the views: created, replaced or made anew with the rights and comments that they have.

A view that keeps its columns, or gains some at the end, is replaced and stays the same object: rights, comments and
other views upon it stay. PostgreSQL cannot replace one whose columns change otherwise: it is dropped and created, and
rights, options and comments are given to it again; where another view stands upon it, that is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any

from penstock.errors import ConflictError
from penstock.model.production import PostgresSpec
from penstock.queries.text import identifier, identifiers, literal
from penstock.values import dataclass

if TYPE_CHECKING:
    import psycopg

RELEASE_VIEW = "penstock_release"
"""The view that shows the number of the release: whoever reads it in a transaction keeps that release to its end."""
_COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), col_description(c.oid, a.attnum), a.attacl::text
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = ANY(%s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum
"""
_RELATIONS = """
SELECT c.relname, c.oid::int8, c.relkind::text, c.reloptions, obj_description(c.oid, 'pg_class'), c.relacl IS NOT NULL
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = ANY(%s)
"""
_RIGHTS = """
SELECT c.relname, x.column_name, x.privilege_type, x.is_grantable, r.rolname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN LATERAL (
    SELECT NULL::text AS column_name, (aclexplode(c.relacl)).*
    UNION ALL SELECT a.attname::text, e.* FROM pg_attribute a, aclexplode(a.attacl) e WHERE a.attrelid = c.oid
) x ON true LEFT JOIN pg_roles r ON r.oid = x.grantee
WHERE n.nspname = %s AND c.relname = ANY(%s) AND x.grantee <> c.relowner
"""
_DEPENDENTS = """
SELECT DISTINCT d.oid::regclass::text FROM pg_depend p JOIN pg_rewrite w ON w.oid = p.objid JOIN pg_class d
ON d.oid = w.ev_class WHERE p.classid = 'pg_rewrite'::regclass AND p.refobjid = %s AND d.oid <> %s ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class _Right:
    column: str | None
    privilege: str
    grantable: bool
    role: str | None


@dataclass(slots=True)
class _View:
    oid: int
    kind: str
    options: tuple[str, ...]
    comment: str | None
    own_rights: bool
    columns: list[tuple[str, str]] = field(default_factory=list)
    comments: dict[str, str] = field(default_factory=dict)
    rights: list[_Right] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Swap:
    """What is to be done.

    Attributes:
        statements: The statements, in the order of the names of views.
        oids: The views that these lock.
    """

    statements: Sequence[str]
    oids: Sequence[int]


@dataclass(frozen=True, slots=True)
class Table:
    """What the view of a live table shows.

    Attributes:
        relation: The relation in the schema of versions.
        columns: Its columns that readers see, with their types.
        condition: Which rows they see; empty: all.
    """

    relation: str
    columns: Sequence[tuple[str, str]]
    condition: str = ""


def planned(
    connection: psycopg.Connection[Any],
    spec: PostgresSpec,
    number: int,
    tables: Mapping[str, str],
    served: Mapping[str, str],
) -> Swap:
    """Return what turns the views that are there into those of a release; views that stay are not touched.

    Args:
        connection: The connection.
        spec: The warehouse.
        number: The release.
        tables: Each table of the release with the version that its view shows.
        served: The same of the views that are there now.

    Raises:
        ConflictError: A relation of somebody else has the name of a table, or stands upon a view that must be dropped.
    """
    names = sorted({*tables, *served, RELEASE_VIEW})
    views = _views(connection, spec.schema, names)
    wanted = columns_of(connection, spec.versions, tables.values())
    statements: list[str] = []
    oids: list[int] = []
    for name in names:
        view = views.get(name)
        if view is not None:
            _refuse_foreign(name, view, served, spec)
        if name == RELEASE_VIEW:
            made = [_created(spec, name, f"SELECT {number}::bigint AS release", view)]
        elif name not in tables:
            made = [f"DROP VIEW {_place(spec, name)}"] if view is not None else []
        elif view is not None and served.get(name) == tables[name]:
            made = []
        else:
            made = _exchanged(spec, name, tables[name], wanted[tables[name]], view)
        if view is not None and made:
            oids.append(view.oid)
            if made[0].startswith("DROP"):
                _refuse_dependents(connection, spec, name, view)
        statements += made
    return Swap(tuple(statements), tuple(oids))


def shown(connection: psycopg.Connection[Any], spec: PostgresSpec, name: str, table: Table, *, ours: bool) -> Swap:
    """Return what lets the view of a live table show a relation.

    Args:
        connection: The connection.
        spec: The warehouse.
        name: The table.
        table: What the view is to show.
        ours: A view of that name is the table's.

    Raises:
        ConflictError: A relation of somebody else has that name, or stands upon a view that must be dropped.
    """
    view = _views(connection, spec.schema, [name]).get(name)
    if view is None:
        return Swap(_exchanged(spec, name, table.relation, table.columns, None, table.condition), ())
    _refuse_foreign(name, view, {name: ""} if ours else {}, spec)
    made = _exchanged(spec, name, table.relation, table.columns, view, table.condition)
    if made[0].startswith("DROP"):
        _refuse_dependents(connection, spec, name, view)
    return Swap(made, (view.oid,))


def refuse_foreign(
    connection: psycopg.Connection[Any], spec: PostgresSpec, names: Sequence[str], served: Mapping[str, str]
) -> None:
    """Raise ConflictError where somebody else's relation has the name of a table of a release."""
    for name, view in _views(connection, spec.schema, [*names, RELEASE_VIEW]).items():
        _refuse_foreign(name, view, served, spec)


def _views(connection: psycopg.Connection[Any], schema: str, names: Sequence[str]) -> dict[str, _View]:
    found = {
        name: _View(oid, kind, tuple(options or ()), comment, own)
        for name, oid, kind, options, comment, own in connection.execute(_RELATIONS, (schema, names)).fetchall()
    }
    for name, column, type_, comment, _ in connection.execute(_COLUMNS, (schema, names)).fetchall():
        if name in found:
            found[name].columns.append((column, type_))
            if comment is not None:
                found[name].comments[column] = comment
    for name, column, privilege, grantable, role in connection.execute(_RIGHTS, (schema, names)).fetchall():
        if name in found:
            found[name].rights.append(_Right(column, privilege, grantable, role))
    return found


def columns_of(
    connection: psycopg.Connection[Any], schema: str, names: Iterable[str]
) -> dict[str, list[tuple[str, str]]]:
    """Return the columns of relations, each with its type, in order."""
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in names}
    for name, column, type_, _, _ in connection.execute(_COLUMNS, (schema, list(found))).fetchall():
        found[name].append((column, type_))
    return found


def _refuse_foreign(name: str, view: _View, served: Mapping[str, str], spec: PostgresSpec) -> None:
    ours = name in served or (name == RELEASE_VIEW and view.columns == [("release", "bigint")])
    if ours and view.kind == "v":
        return
    kind = {"r": "table", "v": "view", "m": "materialized view", "p": "table", "f": "foreign table"}.get(view.kind)
    raise ConflictError(
        f"There is a {kind or 'relation'} {name!r} in {spec.shown} already, which the table of that name would replace",
        remedy="Rename or drop it, or choose another schema in [environments.production]",
    )


def _refuse_dependents(connection: psycopg.Connection[Any], spec: PostgresSpec, name: str, view: _View) -> None:
    found = [other for (other,) in connection.execute(_DEPENDENTS, (view.oid, view.oid)).fetchall()]
    if found:
        raise ConflictError(
            f"The columns of {name!r} change or it leaves the release, but other views in {spec.shown} stand upon it",
            value=", ".join(found[:5]),
            remedy="Drop those views, run the command again, and create them anew",
        )


def _place(spec: PostgresSpec, name: str) -> str:
    return f"{identifier(spec.schema)}.{identifier(name)}"


def _exchanged(
    spec: PostgresSpec,
    name: str,
    relation: str,
    columns: Sequence[tuple[str, str]],
    view: _View | None,
    condition: str = "",
) -> list[str]:
    """Return the statements that let a view, which may be there, show a relation."""
    source = f"SELECT {identifiers(column for column, _ in columns)} FROM " if columns else "SELECT FROM "
    source += f"{identifier(spec.versions)}.{identifier(relation)}{f' WHERE {condition}' if condition else ''}"
    if view is None or list(columns[: len(view.columns)]) == view.columns:
        return [_created(spec, name, source, view)]
    return _anew(spec, name, source, view, [column for column, _ in columns])


def _created(spec: PostgresSpec, name: str, source: str, view: _View | None) -> str:
    options = f" WITH ({', '.join(view.options)})" if view is not None and view.options else ""
    return f"CREATE OR REPLACE VIEW {_place(spec, name)}{options} AS {source}"


def _anew(spec: PostgresSpec, name: str, source: str, view: _View, columns: Sequence[str]) -> list[str]:
    place = _place(spec, name)
    found = [f"DROP VIEW {place}", _created(spec, name, source, view)]
    if view.comment is not None:
        found.append(f"COMMENT ON VIEW {place} IS {literal(view.comment)}")
    found += [
        f"COMMENT ON COLUMN {place}.{identifier(column)} IS {literal(comment)}"
        for column, comment in view.comments.items()
        if column in columns
    ]
    if view.own_rights:
        # Rights that the schema gives to new views may be more than this one had.
        found.append(_REVOKED.format(place=literal(place)))
    for right in view.rights:
        if right.column is not None and right.column not in columns:
            continue
        role = "PUBLIC" if right.role is None else identifier(right.role)
        what = right.privilege + (f" ({identifier(right.column)})" if right.column is not None else "")
        found.append(f"GRANT {what} ON {place} TO {role}{' WITH GRANT OPTION' if right.grantable else ''}")
    return found


_REVOKED = """FOR penstock_given IN SELECT DISTINCT coalesce(quote_ident(r.rolname), 'PUBLIC') AS role
    FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) x LEFT JOIN pg_roles r ON r.oid = x.grantee
    WHERE c.oid = {place}::regclass AND x.grantee <> c.relowner LOOP
    EXECUTE format('REVOKE ALL ON %s FROM %s', {place}, penstock_given.role);
END LOOP"""
