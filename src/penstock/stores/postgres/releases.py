"""The releases that PostgreSQL keeps: which version of each table every one of them shows, and which one is served.

The schema ``penstock_{schema}`` holds the versions and three small tables: ``_releases`` (name of a release, or of what
was staged for a candidate, and the version of each of its tables), ``_served`` (what each view shows) and ``_release``
(which release that is). The last two change in the transaction of the swap alone. A version that no line of them names
is left over: of a load that never ended, or of a release that was retired while somebody still read it.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.errors import BugError, ConflictError, PenstockError, TransientError
from penstock.model.production import PostgresSpec
from penstock.queries.text import identifier, literal
from penstock.stores.filelock import Tell, Wait
from penstock.stores.port import Engine
from penstock.stores.postgres.connecting import connect, explained, make_schemas
from penstock.stores.postgres.loading import Loading, refuse_unfit
from penstock.stores.postgres.swapping import Swapping, Words
from penstock.stores.postgres.views import RELEASE_VIEW, Swap, planned, refuse_foreign
from penstock.stores.release_tables import ServedTable
from penstock.stores.releases import PATIENCE, STAGED, number_of

if TYPE_CHECKING:
    import psycopg

_ENDING = ".duckdb"
"""What names of releases end with where they are files; here they are not."""
_VERSION = re.compile(r".+__[0-9a-f]{12}", re.DOTALL)
_LONGEST_PART = 40
"""Bytes of a table's name that the name of its version begins with."""
_DROP_SECONDS = 0.1
"""How long a version that is dropped may wait for a reader; nobody new can come to it."""
_TABLES = """
CREATE TABLE IF NOT EXISTS {schema}._releases (name text PRIMARY KEY, tables jsonb NOT NULL);
CREATE TABLE IF NOT EXISTS {schema}._served (name text PRIMARY KEY, version text NOT NULL);
CREATE TABLE IF NOT EXISTS {schema}._release (lake text NOT NULL, name text NOT NULL, number bigint NOT NULL)
"""


class PostgresReleases:
    """The releases that one schema of a PostgreSQL database serves.

    Args:
        spec: The warehouse.
        lake: Returns what tells the production lake from others, empty before its first release: no two may share a
            schema, not even those of one project on two machines.
        engine: The local DuckDB, which reads the lake's files.
        tell: Called with sentences while something takes long.
        asking: Only to look: the server is not asked whether it serves what ``releases/current`` names, and a swap is
            attempted once.
    """

    def __init__(
        self,
        spec: PostgresSpec,
        lake: Callable[[], str],
        engine: Engine,
        tell: Tell | None = None,
        *,
        asking: bool = False,
    ) -> None:
        self._spec = spec
        self._lake = lake
        self._engine = engine
        self._tell = tell
        self._asking = asking
        self._schema = identifier(spec.versions)
        self._held: psycopg.Connection[Any] | None = None

    @property
    def shown(self) -> str:
        """Where it is, for messages."""
        return self._spec.shown

    @contextmanager
    def holding(self, patience: float | None = None) -> Iterator[None]:
        """Keep others from changing production until the end, on whatever machine; the server frees it if we die.

        Args:
            patience: Seconds to wait for somebody who promotes.

        Raises:
            TransientError: Somebody else holds it for too long, or the server cannot be reached.
        """
        wait = Wait(f"Production ({self.shown})", PATIENCE if patience is None else patience, self._tell)
        connection = connect(self._spec)
        try:
            with explained(self._spec):
                while not self._locked(connection):
                    wait.pause("another Penstock process")
            self._held = connection
            yield
        finally:
            self._held = None
            connection.close()

    def occupied(self) -> bool:
        """Say whether something is served there."""
        with self._connected() as connection:
            return self._served_release(connection) is not None

    def serves(self, name: str) -> bool:
        """Say whether readers are served a release."""
        if self._asking:
            return True
        with self._connected() as connection:
            found = self._served_release(connection)
            return found is not None and found[1] == _key(name)

    def names(self) -> tuple[str, ...]:
        """Return the names of the releases that are kept, oldest first."""
        with self._connected() as connection:
            known = (f"{name}{_ENDING}" for name in self._kept(connection) if name.isdecimal())
            return tuple(sorted(known, key=number_of))

    def staged(self) -> tuple[str, ...]:
        """Return the names of what was loaded for candidates before their promotion."""
        with self._connected() as connection:
            return tuple(f"{name}{_ENDING}" for name in sorted(self._kept(connection)) if name.startswith(STAGED))

    def leftovers(self, newest: int) -> tuple[str, ...]:
        """Return what attempts that never committed left behind, and versions of retired releases that were read."""
        if self._asking:
            return ()
        with self._connected() as connection:
            self._refuse_other(connection)
            kept = self._kept(connection)
            later = [f"{name}{_ENDING}" for name in kept if name.isdecimal() and int(name) > newest]
            named = self._named(connection, kept)
            return (*later, *(name for name in self._versions(connection) if name not in named))

    def exists(self, name: str) -> bool:
        """Say whether a release is kept."""
        with self._connected() as connection:
            made = self._kept(connection).get(_key(name))
            return made is not None and _all_there(made, self._versions(connection))

    def build(self, name: str, tables: Sequence[ServedTable], base: str | None, kept: Collection[str]) -> None:
        """Load the tables of a release; no reader sees them. What a failure leaves is dropped, or is left over.

        Args:
            name: Of the release, or of what is staged.
            tables: All its tables.
            base: The release whose versions of ``kept`` tables are taken.
            kept: Those tables.

        Raises:
            DataError: PostgreSQL cannot hold a value.
            ConfigurationError: A name or a width has no place there, or the user may not write there.
            ConflictError: Somebody else's relation has the name of a table, or stands upon a view that must go.
            TransientError: The server is gone, or its disk is full.
        """
        import psycopg

        refuse_unfit(tables, self._spec, (RELEASE_VIEW,))
        with self._connected() as connection:
            self._prepare(connection)
            former = self._kept(connection).get(_key(base), {}) if base is not None else {}
            former = former if _all_there(former, self._versions(connection)) else {}
            made = {table.name: former[table.name] for table in tables if table.name in kept and table.name in former}
            fresh: list[str] = []
            loading = Loading(connection, self._spec, self._engine, self._tell)
            try:
                # Whoever stands in the way is told of before the work.
                refuse_foreign(connection, self._spec, [table.name for table in tables], self._views_now(connection))
                for table in tables:
                    if table.name not in made:
                        fresh.append(_version_name(table.name))
                        loading.load(table, fresh[-1])
                        made[table.name] = {"version": fresh[-1], "rows": table.rows}
                self._plan(connection, 0, made)
                self._keep(connection, _key(name), made)
            except BaseException:
                # Where that fails too, they are left over.
                with suppress(PenstockError, psycopg.Error):
                    self._drop(connection, fresh)
                raise

    def link(self, name: str, source: str) -> None:
        """Keep the versions of one release under a second name."""
        with self._connected() as connection:
            made = self._made(connection, _key(source))
            self._plan(connection, 0, made)
            self._keep(connection, _key(name), made)

    def verify(self, file: Path | str, tables: Sequence[ServedTable]) -> None:
        """Compare a release's versions, and the rows that were counted into them, with what they should be.

        Raises:
            BugError: They differ.
        """
        name = _key(str(file))
        with self._connected() as connection:
            made = self._kept(connection).get(name, {})
            there = set(self._versions(connection))
        found = {table: known["rows"] for table, known in made.items() if known["version"] in there}
        expected = {table.name: table.rows for table in tables}
        wrong = sorted(table for table in expected.keys() | found.keys() if expected.get(table) != found.get(table))
        if wrong:
            raise BugError(
                f"Table {wrong[0]!r} of {name} should have {expected.get(wrong[0], 'no')} rows in {self.shown}, "
                f"but has {found.get(wrong[0], 'no')}; nothing was published"
            )

    def refuse_foreign(self) -> None:
        """Raise ConflictError where another lake's releases are served there."""
        with self._connected() as connection:
            self._refuse_other(connection)

    def swap(self, name: str) -> None:
        """Let all views show a release, in one transaction; the same call again changes nothing.

        Raises:
            TransientError: Readers held the views for too long; nothing has changed.
            ConflictError: Somebody else's relation is in the way.
        """
        key = _key(name)
        with self._connected() as connection:
            self._prepare(connection)
            found = self._served_release(connection)
            if found is not None and found[1] == key:
                return
            made, number = self._made(connection, key), int(key)
            patience = 0.0 if self._asking else self._spec.lock_wait
            swapping = Swapping(connection, self._spec, patience, self._tell)
            words = Words(
                f"Release {number}",
                f"is committed, but {self.shown} still serves the one before",
                "the next penstock promote, diff or doctor puts the release in place",
            )
            swapping.run(words, lambda: self._plan(connection, number, made), self._recorded(key, number, made))

    def remove(self, path: Path | str) -> None:
        """Forget a release, or drop a version that is left over; quiet if it is not there.

        A version that somebody still reads stays, and is left over then.
        """
        name = _key(str(path))
        with self._connected() as connection:
            kept = self._kept(connection)
            gone = {known["version"] for known in kept.pop(name, {}).values()} or {str(path)}
            if name not in kept and self._ready(connection):
                connection.execute(f"DELETE FROM {self._schema}._releases WHERE name = %s".encode(), (name,))
            named = self._named(connection, kept)
            self._drop(connection, sorted(gone & set(self._versions(connection)) - named))

    # What the server holds -----------------------------------------------------------------------------------------

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Any]]:
        """Lend the connection that holds the lock; without it, one of its own."""
        if self._held is not None:
            with explained(self._spec):
                yield self._held
            return
        connection = connect(self._spec)
        try:
            with explained(self._spec):
                yield connection
        finally:
            connection.close()

    def _locked(self, connection: psycopg.Connection[Any]) -> bool:
        key = f"penstock:{self._spec.schema}"
        row = connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (key,)).fetchone()
        return bool(row and row[0])

    def _ready(self, connection: psycopg.Connection[Any]) -> bool:
        place = f"{self._schema}._release"
        row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (place,)).fetchone()
        return bool(row and row[0])

    def _prepare(self, connection: psycopg.Connection[Any]) -> None:
        """Make the schemas and the small tables; refuse those of another lake."""
        if not self._ready(connection):
            make_schemas(connection, self._spec)
            connection.execute(_TABLES.format(schema=self._schema).encode())
        self._refuse_other(connection)

    def _refuse_other(self, connection: psycopg.Connection[Any]) -> None:
        """Refuse what another lake serves: its releases have the same numbers, and would be taken for leftovers."""
        found = self._served_release(connection)
        if found is not None and found[0] != self._lake():
            raise ConflictError(
                f"{self.shown} serves release {found[1]} of another production lake",
                remedy="Choose another schema in [environments.production], or bring that lake back; to begin anew "
                f"there, drop the schema {self._spec.versions} and the views",
            )

    def _served_release(self, connection: psycopg.Connection[Any]) -> tuple[str, str] | None:
        """Return the lake and the release that the views show."""
        if not self._ready(connection):
            return None
        row = connection.execute(f"SELECT lake, name FROM {self._schema}._release".encode()).fetchone()
        return (row[0], row[1]) if row else None

    def _kept(self, connection: psycopg.Connection[Any]) -> dict[str, dict[str, Any]]:
        """Return name of a release to its tables, each with version and rows."""
        if not self._ready(connection):
            return {}
        return dict(connection.execute(f"SELECT name, tables FROM {self._schema}._releases".encode()).fetchall())

    def _made(self, connection: psycopg.Connection[Any], key: str) -> dict[str, Any]:
        """Return the tables of a release that was there a moment ago."""
        made = self._kept(connection).get(key)
        if made is None:
            raise TransientError(f"What {self.shown} kept of release {key} was removed by another process")
        return dict(made)

    def _views_now(self, connection: psycopg.Connection[Any]) -> dict[str, str]:
        if not self._ready(connection):
            return {}
        return dict(connection.execute(f"SELECT name, version FROM {self._schema}._served".encode()).fetchall())

    def _named(self, connection: psycopg.Connection[Any], kept: Mapping[str, Mapping[str, Any]]) -> set[str]:
        """Return the versions that a kept release or a view shows."""
        found = {known["version"] for tables in kept.values() for known in tables.values()}
        return found | set(self._views_now(connection).values())

    def _versions(self, connection: psycopg.Connection[Any]) -> list[str]:
        rows = connection.execute(
            "SELECT tablename::text FROM pg_tables WHERE schemaname = %s ORDER BY 1", (self._spec.versions,)
        ).fetchall()
        return [name for (name,) in rows if _VERSION.fullmatch(name)]

    def _plan(self, connection: psycopg.Connection[Any], number: int, made: Mapping[str, Any]) -> Swap:
        tables = {name: known["version"] for name, known in made.items()}
        return planned(connection, self._spec, number, tables, self._views_now(connection))

    def _keep(self, connection: psycopg.Connection[Any], key: str, made: Mapping[str, Any]) -> None:
        connection.execute(
            f"INSERT INTO {self._schema}._releases VALUES (%s, %s::jsonb) "
            "ON CONFLICT (name) DO UPDATE SET tables = excluded.tables".encode(),
            (key, json.dumps(made)),
        )

    def _recorded(self, key: str, number: int, made: Mapping[str, Any]) -> list[str]:
        """Return the statements that record a swap, in its own transaction."""
        rows = ", ".join(f"({literal(name)}, {literal(known['version'])})" for name, known in sorted(made.items()))
        return [
            f"DELETE FROM {self._schema}._served",
            *([f"INSERT INTO {self._schema}._served VALUES {rows}"] if rows else []),
            f"DELETE FROM {self._schema}._release",
            f"INSERT INTO {self._schema}._release VALUES ({literal(self._lake())}, {literal(key)}, {number})",
        ]

    def _drop(self, connection: psycopg.Connection[Any], versions: Sequence[str]) -> None:
        """Drop versions that nothing names; one that a reader or a view of somebody holds is left over for later."""
        from psycopg import errors

        held = (errors.LockNotAvailable, errors.DeadlockDetected, errors.DependentObjectsStillExist)
        for version in versions:
            with suppress(*held), connection.transaction():
                connection.execute(f"SET LOCAL lock_timeout = {int(_DROP_SECONDS * 1000)}".encode())
                connection.execute(f"DROP TABLE IF EXISTS {self._schema}.{identifier(version)}".encode())


def _all_there(made: Mapping[str, Mapping[str, Any]], versions: Collection[str]) -> bool:
    """Say whether nobody has dropped a version of a release."""
    return {known["version"] for known in made.values()} <= set(versions)


def _key(name: str) -> str:
    return name.removesuffix(_ENDING)


def _version_name(table: str) -> str:
    beginning = table.encode()[:_LONGEST_PART].decode(errors="ignore")
    return f"{beginning}__{secrets.token_hex(6)}"
