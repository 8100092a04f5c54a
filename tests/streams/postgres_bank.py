"""Accounts in a PostgreSQL, and what writes to them."""

from __future__ import annotations

import random
from contextlib import AbstractContextManager
from typing import Any

import psycopg

from servers.postgres import PostgresServer
from streams.bank import Writers

_MADE = """
    CREATE TABLE accounts (id int PRIMARY KEY, balance int, note text);
    ALTER TABLE accounts ALTER note SET STORAGE EXTERNAL;
    CREATE TABLE entries (id bigserial PRIMARY KEY, account int, amount int);
    CREATE TABLE log (id bigserial PRIMARY KEY, text text);
    INSERT INTO accounts SELECT i, 0, repeat(md5(i::text), 100) FROM generate_series(1, 200) i;
    INSERT INTO log (text) SELECT 'before ' || i FROM generate_series(1, 50) i;
"""


def made(server: PostgresServer) -> None:
    """Make the tables that writers write to."""
    server.execute(_MADE)


class PostgresWriters(Writers):
    """Writers of a PostgreSQL."""

    errors = (psycopg.Error,)

    def connected(self) -> AbstractContextManager[Any]:
        """Open a connection."""
        return psycopg.connect(self._server.url())

    def once(self, connection: Any, chance: random.Random) -> None:
        """Commit a transaction; roll some others back."""
        account, amount, kind = chance.randint(1, 200), chance.randint(-9, 9), chance.random()
        with connection.transaction():
            connection.execute("UPDATE accounts SET balance = balance + %s WHERE id = %s", (amount, account))
            connection.execute("INSERT INTO entries (account, amount) VALUES (%s, %s)", (account, amount))
            if kind < 0.1:
                connection.execute(
                    "UPDATE accounts SET note = repeat(md5(random()::text), 100) WHERE id = %s", (account,)
                )
            elif kind < 0.2:
                connection.execute("INSERT INTO log (text) VALUES (%s)", (str(account),))
            elif kind < 0.25:
                connection.execute(
                    "INSERT INTO accounts VALUES (%s, 0, 'new') ON CONFLICT DO NOTHING", (account + 1000,)
                )
            elif kind < 0.3:
                connection.execute("DELETE FROM accounts WHERE id = %s AND balance = 0", (account + 1000,))
            elif kind < 0.32:
                connection.execute("UPDATE accounts SET id = id + 10000 WHERE id = %s", (account + 1000,))
        if kind < 0.1:
            # Nothing of it may ever be seen.
            connection.execute("BEGIN; UPDATE accounts SET balance = 1000000; ROLLBACK")
