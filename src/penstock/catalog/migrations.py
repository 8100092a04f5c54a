"""The catalog's tables, as numbered steps that are never edited once they are released."""

from __future__ import annotations

from penstock.catalog.database import Database, Statements
from penstock.errors import ConfigurationError
from penstock.values import dataclass


@dataclass(frozen=True, slots=True)
class Migration:
    """One step: its number from 1, its name, its statements; ``{blob}`` stands for the type of bytes."""

    number: int
    name: str
    statements: tuple[str, ...]


MIGRATIONS = (
    Migration(
        1,
        "entries, runs, decisions, candidates, releases, leases",
        (
            "CREATE TABLE staging_tables (table_name TEXT PRIMARY KEY)",
            """CREATE TABLE entries (
                table_name TEXT NOT NULL,
                number BIGINT NOT NULL,
                kind TEXT NOT NULL,
                created_at BIGINT NOT NULL,
                run TEXT,
                interval_start BIGINT,
                interval_end BIGINT,
                verdict TEXT,
                verdict_number BIGINT,
                load BIGINT,
                superseded BIGINT NOT NULL,
                positioned BIGINT NOT NULL,
                fingerprint TEXT NOT NULL,
                body {blob} NOT NULL,
                PRIMARY KEY (table_name, number)
            )""",
            "CREATE INDEX entries_by_kind ON entries (table_name, kind, number)",
            "CREATE INDEX entries_by_fingerprint ON entries (table_name, fingerprint)",
            "CREATE INDEX loads_by_verdict ON entries (table_name, verdict, number) WHERE kind = 'load'",
            "CREATE INDEX loads_pending ON entries (table_name, number) WHERE kind = 'load' AND verdict IS NULL",
            "CREATE INDEX loads_resumable ON entries (table_name, number) "
            "WHERE kind = 'load' AND verdict = 'accepted' AND positioned = 1",
            "CREATE INDEX verdicts_by_load ON entries (table_name, load, number) WHERE kind = 'verdict'",
            "CREATE INDEX versions_by_interval ON entries (table_name, interval_start, interval_end, number) "
            "WHERE kind = 'version'",
            "CREATE INDEX intervals_done ON entries "
            "(table_name, superseded, verdict, interval_start, interval_end, kind) WHERE interval_start IS NOT NULL",
            """CREATE TABLE supersessions (
                table_name TEXT NOT NULL,
                number BIGINT NOT NULL,
                superseded_by BIGINT NOT NULL,
                PRIMARY KEY (table_name, number, superseded_by)
            )""",
            "CREATE INDEX supersessions_by_successor ON supersessions (table_name, superseded_by)",
            """CREATE TABLE runs (
                id TEXT PRIMARY KEY,
                pipeline TEXT NOT NULL,
                started BIGINT NOT NULL,
                body {blob} NOT NULL
            )""",
            "CREATE INDEX runs_by_start ON runs (started, id)",
            "CREATE INDEX runs_by_pipeline ON runs (pipeline, started, id)",
            """CREATE TABLE unchanged_steps (
                run TEXT NOT NULL,
                position BIGINT NOT NULL,
                table_name TEXT NOT NULL,
                body {blob} NOT NULL,
                PRIMARY KEY (run, position)
            )""",
            "CREATE INDEX unchanged_by_table ON unchanged_steps (table_name, run, position)",
            """CREATE TABLE decisions (
                id TEXT PRIMARY KEY,
                at BIGINT NOT NULL,
                subject TEXT NOT NULL,
                body {blob} NOT NULL
            )""",
            "CREATE INDEX decisions_by_time ON decisions (at, id)",
            "CREATE INDEX decisions_by_subject ON decisions (subject, at, id)",
            """CREATE TABLE candidates (
                id TEXT PRIMARY KEY,
                pipeline TEXT NOT NULL,
                created_at BIGINT NOT NULL,
                body {blob} NOT NULL
            )""",
            "CREATE INDEX candidates_by_pipeline ON candidates (pipeline, created_at, id)",
            "CREATE TABLE releases (number BIGINT PRIMARY KEY, body {blob} NOT NULL)",
            """CREATE TABLE leases (
                name TEXT PRIMARY KEY,
                holder TEXT,
                fence BIGINT NOT NULL,
                highest_fence BIGINT NOT NULL,
                acquired BIGINT NOT NULL,
                expires BIGINT NOT NULL
            )""",
        ),
    ),
    Migration(
        2,
        "tables that databases were found to have",
        ("CREATE TABLE schemas (connection TEXT PRIMARY KEY, body {blob} NOT NULL)",),
    ),
    Migration(
        3,
        "alerts, what was said of them, and what tables brought",
        (
            "CREATE TABLE arrivals (table_name TEXT PRIMARY KEY, body {blob} NOT NULL)",
            """CREATE TABLE alerts (
                id TEXT PRIMARY KEY,
                opened BIGINT NOT NULL,
                resolved BIGINT,
                muted_until BIGINT NOT NULL,
                body {blob} NOT NULL
            )""",
            """CREATE TABLE alert_messages (
                alert TEXT NOT NULL,
                channel TEXT NOT NULL,
                event TEXT NOT NULL,
                due BIGINT,
                told BIGINT,
                attempts BIGINT NOT NULL,
                problem TEXT NOT NULL,
                claimed TEXT,
                claimed_until BIGINT,
                PRIMARY KEY (alert, channel)
            )""",
            "CREATE TABLE alert_looks (pipeline TEXT PRIMARY KEY, at BIGINT NOT NULL)",
        ),
    ),
    Migration(
        4,
        "schedules and their firings",
        (
            "CREATE TABLE schedules (pipeline TEXT PRIMARY KEY, body {blob} NOT NULL)",
            """CREATE TABLE firings (
                id TEXT PRIMARY KEY,
                pipeline TEXT NOT NULL,
                due BIGINT NOT NULL,
                state TEXT NOT NULL,
                active BIGINT NOT NULL,
                revision BIGINT NOT NULL,
                body {blob} NOT NULL
            )""",
            "CREATE UNIQUE INDEX firings_by_revision ON firings (revision)",
            "CREATE INDEX firings_by_pipeline ON firings (pipeline, active, id)",
        ),
    ),
    Migration(
        5,
        "queries that were parsed",
        ("CREATE TABLE queries (pipeline TEXT PRIMARY KEY, body {blob} NOT NULL)",),
    ),
)

_VERSIONS = (
    "CREATE TABLE IF NOT EXISTS schema_version "
    "(number BIGINT PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL)"
)


def migrate(database: Database, migrations: tuple[Migration, ...] = MIGRATIONS) -> None:
    """Bring the catalog's tables up to what this code knows, in one transaction.

    Raises:
        ConfigurationError: The catalog was written by later code.
    """
    newest = migrations[-1].number
    if database.has_schema():
        with database.reading() as statements:
            found = _version(statements)
        _refuse_later(database, found, newest)
        if found == newest:
            return
    with database.writing() as statements:
        statements.rows(_VERSIONS)
        found = _version(statements)
        _refuse_later(database, found, newest)
        for migration in migrations:
            if migration.number > found:
                _apply(database, statements, migration)


def _apply(database: Database, statements: Statements, migration: Migration) -> None:
    for statement in migration.statements:
        statements.rows(statement.replace("{blob}", database.blob))
    statements.rows("INSERT INTO schema_version VALUES (?, ?, ?)", (migration.number, migration.name, database.now()))


def _version(statements: Statements) -> int:
    return int(statements.rows("SELECT coalesce(max(number), 0) FROM schema_version")[0][0])


def _refuse_later(database: Database, found: int, newest: int) -> None:
    if found > newest:
        raise ConfigurationError(
            f"This checkout is older than the catalog {database.shown}: "
            f"the catalog's schema has number {found}, this code knows up to {newest}",
            remedy="Upgrade it (pip install --upgrade penstock), or name another catalog in penstock.toml",
        )
