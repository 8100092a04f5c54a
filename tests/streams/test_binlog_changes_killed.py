"""Changes of MariaDB and MySQL under load: their stream is killed, the server dies, and another takes over."""

from __future__ import annotations

import contextlib
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import pymysql
import pytest

from penstock import Project
from servers import mariadb, mysql
from servers.debian import NoServerError
from servers.mariadb import TRUSTED, TRUSTED_PASSWORD, MariaServer
from streams.bank import Writers, consistent, levelled
from streams.capturing import SERVERS, cleared, project
from streams.stream_project import begun, end_leases, has_leases, penstock, said, served, until

_SOURCES = """
    sources.mysql_changes('db', table='accounts', key='id', write='merge', stream={'every': '150ms'}),
    sources.mysql_changes('db', table='entries', key='id', write='merge'),
    sources.mysql_changes('db', table='log', name='log'),
"""
_MADE = (
    "CREATE TABLE accounts (id int PRIMARY KEY, balance int, note text)",
    "CREATE TABLE entries (id bigint AUTO_INCREMENT PRIMARY KEY, account int, amount int)",
    "CREATE TABLE log (id bigint AUTO_INCREMENT PRIMARY KEY, text text)",
    "INSERT INTO accounts SELECT seq, 0, repeat(hex(seq), 30) FROM seq_1_to_200",
    "INSERT INTO log (text) SELECT concat('before ', seq) FROM seq_1_to_50",
)


class MariaWriters(Writers):
    """Writers of a MariaDB."""

    errors = (pymysql.Error, OSError)

    def connected(self) -> AbstractContextManager[Any]:
        """Open a connection."""
        return contextlib.closing(self._server.connect())

    def once(self, connection: Any, chance: random.Random) -> None:
        """Commit a transaction; roll some others back."""
        cursor = connection.cursor()
        account, amount, kind = chance.randint(1, 200), chance.randint(-9, 9), chance.random()
        cursor.execute("UPDATE accounts SET balance = balance + %s WHERE id = %s", (amount, account))
        cursor.execute("INSERT INTO entries (account, amount) VALUES (%s, %s)", (account, amount))
        if kind < 0.1:
            cursor.execute("UPDATE accounts SET note = repeat(hex(rand()), 30) WHERE id = %s", (account,))
        elif kind < 0.2:
            cursor.execute("INSERT INTO log (text) VALUES (%s)", (str(account),))
        elif kind < 0.25:
            cursor.execute("INSERT IGNORE INTO accounts VALUES (%s, 0, 'new')", (account + 1000,))
        elif kind < 0.3:
            cursor.execute("DELETE FROM accounts WHERE id = %s AND balance = 0", (account + 1000,))
        elif kind < 0.32:
            cursor.execute("UPDATE IGNORE accounts SET id = id + 10000 WHERE id = %s", (account + 1000,))
        connection.commit()
        if kind < 0.1:
            # Nothing of it may ever be seen.
            cursor.execute("UPDATE accounts SET balance = 1000000")
            connection.rollback()
        elif kind > 0.98:
            cursor.execute("FLUSH BINARY LOGS")


@pytest.mark.parametrize("kills", [3, pytest.param(25, marks=pytest.mark.slow)])
@pytest.mark.parametrize("log", SERVERS)
def test_killed_at_random_under_load_the_tables_are_the_same(
    request: pytest.FixtureRequest, log: str, tmp_path: Path, kills: int
) -> None:
    server = cleared(request.getfixturevalue(log))
    server.execute(*_MADE)
    folder = project(tmp_path, server, _SOURCES)
    chance = random.Random(7)
    with MariaWriters(server) as writers:
        for _ in range(kills):
            process = begun(folder, "stream", "shop")
            until(lambda: has_leases(folder))
            time.sleep(3 * chance.random())
            assert process.poll() is None, said(folder)
            process.kill()
            process.wait()
            end_leases(folder)
            consistent(folder)
        enough = writers.written + 50
        until(lambda: writers.written >= enough)
    levelled(folder, server)
    consistent(folder)


@pytest.mark.slow
@pytest.mark.parametrize("servers", [mariadb, mysql])
def test_a_server_that_dies_and_comes_back_is_waited_for(tmp_path: Path, servers: ModuleType) -> None:
    with reviving(servers, servers.LOGGED + servers.DURABLE) as (server, revive):
        server.execute(*_MADE)
        folder = project(tmp_path, server, _SOURCES)
        with MariaWriters(server, 1) as writers:
            process = begun(folder, "stream", "shop")
            try:
                until(lambda: "micro-batch" in said(folder))
                for _ in range(2):
                    before = writers.written
                    revive()
                    until(lambda before=before: writers.written > before + 20)
                assert process.poll() is None, said(folder)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(60)
        levelled(folder, server)


@contextlib.contextmanager
def reviving(servers: ModuleType, settings: str) -> Iterator[tuple[MariaServer, Callable[[], None]]]:
    """Start a server that can be killed and started again, or skip."""
    with ExitStack() as stack:
        try:
            found = stack.enter_context(servers.reviving(settings))
        except NoServerError as error:
            if servers is mariadb:
                raise
            pytest.skip(f"no MySQL: {error}")
        yield found


@contextlib.contextmanager
def replicated(servers: ModuleType) -> Iterator[tuple[MariaServer, MariaServer]]:
    """Start a server and one that follows it."""
    other = re.sub(r"server_id = (\d+)", r"server_id = 9\1", servers.LOGGED)
    with reviving(servers, servers.LOGGED) as (first, _), reviving(servers, other) as (second, _):
        # Its files are counted otherwise than those of the first one.
        second.execute(*["FLUSH BINARY LOGS"] * 3)
        second.execute(*(each.format(port=first.port) for each in _FOLLOW[servers]))
        yield first, second


_FOLLOW = {
    mariadb: (
        f"CHANGE MASTER TO master_host = '127.0.0.1', master_port = {{port}}, master_user = '{TRUSTED}', "
        f"master_password = '{TRUSTED_PASSWORD}', master_use_gtid = slave_pos",
        "START SLAVE",
    ),
    mysql: (
        f"CHANGE REPLICATION SOURCE TO source_host = '127.0.0.1', source_port = {{port}}, source_user = '{TRUSTED}', "
        f"source_password = '{TRUSTED_PASSWORD}', source_auto_position = 1, get_source_public_key = 1",
        "START REPLICA",
    ),
}


def caught_up(servers: ModuleType, first: MariaServer, second: MariaServer) -> None:
    known, wait = {
        mariadb: ("@@gtid_binlog_pos", "MASTER_GTID_WAIT('{}', 60)"),
        mysql: ("@@global.gtid_executed", "WAIT_FOR_EXECUTED_GTID_SET('{}', 60)"),
    }[servers]
    ((gtid,),) = first.execute(f"SELECT {known}")
    assert second.execute(f"SELECT {wait.format(gtid)}") == [(0,)]
    stop = {mariadb: ("STOP SLAVE", "RESET SLAVE ALL"), mysql: ("STOP REPLICA", "RESET REPLICA ALL")}
    second.execute(*stop[servers])


@pytest.mark.parametrize("servers", [mariadb, mysql])
def test_a_server_that_takes_over_is_read_on_from_the_same_transaction(tmp_path: Path, servers: ModuleType) -> None:
    with replicated(servers) as (first, second):
        first.execute(*_MADE)
        folder = project(tmp_path, first, _SOURCES)
        with MariaWriters(first, 1) as writers:
            assert penstock(folder, "stream", "shop", "--until-end").returncode == 0
            enough = writers.written + 200
            until(lambda: writers.written >= enough)
        # Only the first of them lands what came since: the others are read on from where they were.
        first.execute("INSERT INTO log (text) VALUES ('last of the first')")
        caught_up(servers, first, second)
        project(tmp_path, second, _SOURCES)
        with MariaWriters(second, 1) as writers:
            enough = writers.written + 100
            until(lambda: writers.written >= enough)
        places = [place for (place,) in served(folder, "SELECT max(_lsn) FROM raw_log")]
        levelled(folder, second)
        consistent(folder)
        ((grown,),) = served(folder, "SELECT min(_lsn) FROM raw_log WHERE text = 'last of the first'")
        assert grown > places[0]
        with Project(folder) as opened:
            assert opened.alerts.check().open == ()
        # What the second one has beyond it, the first has not: it is told, and nothing is passed over.
        project(tmp_path, first, _SOURCES)
        refused = penstock(folder, "stream", "shop", "--until-end")
        assert refused.returncode == 3
        assert "has not got all of what was read" in refused.stderr + refused.stdout
