"""A real MySQL for tests, from Debian's unstable suite, as no stable release has one; gone by process id at the end."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from servers.debian import NoServerError, unprivileged
from servers.mariadb import GUARDED, PASSWORD, TRUSTED, TRUSTED_PASSWORD, MariaServer, kept
from servers.unstable import loaded, unstable

_UNNEEDED = re.compile(r"perl.*|libperl.*|gcc-.*-base|libgdbm.*|libdb5.*|.*-common|openssl-provider-legacy")
_SETTINGS = """[mysqld]
bind_address = 127.0.0.1
mysqlx = OFF
secure_file_priv = NULL
innodb_flush_log_at_trx_commit = 0
innodb_buffer_pool_size = 64M
innodb_redo_log_capacity = 64M
max_allowed_packet = 1G
max_connections = 40
default_time_zone = '-05:00'
performance_schema = OFF
sync_binlog = 0
cte_max_recursion_depth = 10000000
"""
"""A zone other than UTC, so that whoever forgets the session's zone is found out."""
LOGGED = """server_id = 21
log_bin = binlog
binlog_row_metadata = FULL
gtid_mode = ON
enforce_gtid_consistency = ON
"""
"""A server that tells its changes."""
DURABLE = "innodb_flush_log_at_trx_commit = 1\nsync_binlog = 1\n"
"""What is committed is there after a crash."""


_NUMBERS = re.compile(r"seq_(\d+)_to_(\d+)")


class MySqlServer(MariaServer):
    """A running MySQL, spoken to as a MariaDB is, down to its tables of numbers, ``seq_1_to_100``."""

    def execute(self, *statements: str) -> list[tuple[object, ...]]:
        """See the one of MariaDB."""
        return super().execute(*(_NUMBERS.sub(_numbers, statement) for statement in statements))


def _numbers(wanted: re.Match[str]) -> str:
    counted = f"SELECT {wanted[1]} AS seq UNION ALL SELECT seq + 1 FROM counted WHERE seq < {wanted[2]}"
    return f"(WITH RECURSIVE counted AS ({counted}) SELECT seq FROM counted) AS numbers"


@contextlib.contextmanager
def running(settings: str = LOGGED) -> Iterator[MySqlServer]:
    """Start a server, yield it, stop it by its process id and remove its data.

    Args:
        settings: Lines of its settings.

    Raises:
        NoServerError: If it cannot be had, or does not come up.
    """
    with reviving(settings) as (server, _):
        yield server


@contextlib.contextmanager
def reviving(settings: str) -> Iterator[tuple[MySqlServer, Callable[[], None]]]:
    """Start a server as ``running`` does; yield it, and what kills it and starts it again where it was."""
    root = unstable("mysql-server-core", _UNNEEDED)
    with kept(MySqlServer, lambda folder: _make(root, folder, settings)) as server:
        yield server


def _make(root: Path, folder: Path, lines: str) -> tuple[list[str], dict[str, object]]:
    """Make the data of a server, and its users; return what it is begun with, and as whom."""
    user = unprivileged("mysql")
    settings, first = folder / "my.cnf", folder / "first.sql"
    settings.write_text(_SETTINGS + lines)
    secret = PASSWORD.replace("'", "''")
    first.write_text(
        # A server that is followed has no transactions but those that tests commit.
        "SET SESSION sql_log_bin = 0;\n"
        "CREATE DATABASE shop;\n"
        f"CREATE USER {TRUSTED}@'%' IDENTIFIED BY '{TRUSTED_PASSWORD}';\n"
        f"GRANT ALL ON *.* TO {TRUSTED}@'%' WITH GRANT OPTION;\n"
        f"CREATE USER {GUARDED}@'%' IDENTIFIED BY '{secret}';\n"
        f"GRANT SELECT ON shop.* TO {GUARDED}@'%';\n"
    )
    if user is not None:
        for path in (folder, settings, first):
            os.chown(path, user, -1)
    command, as_user = _command(root, folder)
    made = subprocess.run(
        [*command, "--initialize-insecure", f"--init-file={first}"],
        capture_output=True,
        text=True,
        check=False,
        **as_user,  # type: ignore[call-overload]
    )
    if made.returncode:
        raise NoServerError(f"mysqld --initialize failed: {made.stderr.strip()[-500:]}")
    return command, as_user


def _command(root: Path, folder: Path) -> tuple[list[str], dict[str, object]]:
    """Return what a server is begun with, and as whom."""
    user = unprivileged("mysql")
    as_user: dict[str, object] = {"cwd": folder, "user": user, "extra_groups": [] if user else None}
    command = [
        *loaded(root, "usr/sbin/mysqld"),
        f"--defaults-file={folder / 'my.cnf'}",
        f"--basedir={root / 'usr'}",
        f"--datadir={folder / 'data'}",
        f"--lc-messages-dir={root / 'usr/share/mysql'}",
        f"--socket={folder / 'socket'}",
        # In a folder that others clear, files of its own would vanish.
        f"--tmpdir={folder}",
        f"--pid-file={folder / 'pid'}",
    ]
    return command, as_user
