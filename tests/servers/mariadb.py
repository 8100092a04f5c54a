"""A real MariaDB for tests: its own data folder, a free loopback port, gone by process id at the end."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import pymysql

from servers.debian import CACHE, NoServerError, environment, free_port, provided, unprivileged

_WANTED = re.compile(
    r"mariadb-(server|client)(-core)?(-[\d.]+)?|mysql-common|mariadb-common|galera-\d|"
    r"lib(aio|ncurses|tinfo|pcre2|ssl|numa|lz4|lzma|snappy|bz2|zstd|pmem|daxctl|ndctl|kmod|uring|crypt|systemd)[-.\w]*"
)
TRUSTED, TRUSTED_PASSWORD = "tester", "tester"
"""A user who may do everything."""
GUARDED, PASSWORD = "guarded", "pa:ss@wör/d"
"""A user who may only read the database ``shop``."""

_SETTINGS = """[mariadbd]
bind_address = 127.0.0.1
skip_networking = 0
innodb_flush_log_at_trx_commit = 0
innodb_buffer_pool_size = 64M
innodb_log_file_size = 64M
max_allowed_packet = 1G
max_connections = 40
default_time_zone = '-05:00'
character_set_server = utf8mb4
performance_schema = off
"""
"""A zone other than UTC, so that whoever forgets the session's zone is found out."""
_UNLOGGED = "skip_log_bin\n"
LOGGED = """server_id = 11
log_bin = binlog
binlog_format = ROW
binlog_row_metadata = FULL
gtid_strict_mode = on
log_slave_updates = on
"""
"""A server that tells its changes."""
DURABLE = "innodb_flush_log_at_trx_commit = 1\nsync_binlog = 1\n"
"""What is committed is there after a crash."""


@dataclass(frozen=True)
class MariaServer:
    """A running server."""

    port: int
    pid: int
    database: str = "shop"

    def url(self, user: str = TRUSTED, password: str | None = TRUSTED_PASSWORD, database: str | None = None) -> str:
        """Return the URL for a user; the password is percent-encoded."""
        secret = "" if password is None else ":" + quote(password, safe="")
        return f"mysql://{user}{secret}@127.0.0.1:{self.port}/{database or self.database}"

    def connect(self, **options: object) -> pymysql.Connection:
        """Connect as the user who may do everything."""
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user=TRUSTED, password=TRUSTED_PASSWORD, database=self.database, **options
        )

    def execute(self, *statements: str) -> list[tuple[object, ...]]:
        """Run statements in one transaction; return the last rows."""
        with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            rows = list(cursor.fetchall())
            connection.commit()
        return rows


Server = TypeVar("Server", bound=MariaServer)


@contextlib.contextmanager
def running(settings: str = _UNLOGGED) -> Iterator[MariaServer]:
    """Start a server, yield it, stop it by its process id and remove its data.

    Args:
        settings: Lines of its settings.

    Raises:
        NoServerError: If there are no binaries and none can be fetched, or the server does not come up.
    """
    with reviving(settings) as (server, _):
        yield server


@contextlib.contextmanager
def reviving(settings: str) -> Iterator[tuple[MariaServer, Callable[[], None]]]:
    """Start a server as ``running`` does; yield it, and what kills it and starts it again where it was."""
    binary = provided(["mariadb-server-core", "mariadb-client-core"], _WANTED, _installed)
    with kept(MariaServer, lambda folder: _make(binary, folder, settings)) as server:
        yield server


@contextlib.contextmanager
def kept(
    kind: type[Server], make: Callable[[Path], tuple[list[str], dict[str, object]]]
) -> Iterator[tuple[Server, Callable[[], None]]]:
    """Start a server of MariaDB's kind, and stop it at the end; yield it, and what kills it and starts it again.

    Args:
        kind: The class of the server.
        make: Makes the data in a folder; returns what the server is begun with, and as whom.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"penstock-{kind.__name__.lower()}-"))
    try:
        command, as_user = make(folder)
        port = free_port()

        def begin() -> tuple[subprocess.Popen[bytes], Server]:
            with (folder / "log").open("ab") as log:
                process = subprocess.Popen(
                    [*command, f"--port={port}"],
                    stdout=log,
                    stderr=log,
                    **as_user,  # type: ignore[call-overload]
                )
            return process, _ready(kind(port=port, pid=process.pid), process, folder)

        process, server = begin()

        def revive() -> None:
            nonlocal process
            process.kill()
            process.wait()
            process, _ = begin()

        try:
            yield server, revive
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make(binary: Path, folder: Path, lines: str) -> tuple[list[str], dict[str, object]]:
    """Make the data of a server; return what it is begun with, and as whom."""
    user = unprivileged("mysql")
    settings, data = folder / "my.cnf", folder / "data"
    settings.write_text(_SETTINGS + lines)
    data.mkdir()
    if user is not None:
        for path in (folder, settings, data):
            os.chown(path, user, -1)
    share = binary.parents[1] / "share"
    system = (share / "mysql" / name for name in ("mysql_system_tables.sql", "mysql_system_tables_data.sql"))
    secret = PASSWORD.replace("'", "''")
    bootstrap = "\n".join(
        [
            "CREATE DATABASE mysql;",
            "USE mysql;",
            *(path.read_text() for path in system),
            "FLUSH PRIVILEGES;",
            "CREATE DATABASE shop;",
            f"CREATE USER {TRUSTED}@'%' IDENTIFIED BY '{TRUSTED_PASSWORD}';",
            f"GRANT ALL ON *.* TO {TRUSTED}@'%' WITH GRANT OPTION;",
            f"CREATE USER {GUARDED}@'%' IDENTIFIED BY '{secret}';",
            f"GRANT SELECT ON shop.* TO {GUARDED}@'%';",
        ]
    )
    common, as_user = _command(binary, folder)
    made = subprocess.run(
        [*common, "--bootstrap", "--skip-networking"],
        input=bootstrap,
        capture_output=True,
        text=True,
        check=False,
        **as_user,  # type: ignore[call-overload]
    )
    if made.returncode or "ERROR" in made.stderr:
        raise NoServerError(f"mariadbd --bootstrap failed: {made.stderr.strip()[-500:]}")
    return common, as_user


def _command(binary: Path, folder: Path) -> tuple[list[str], dict[str, object]]:
    """Return what a server is begun with, and as whom."""
    user = unprivileged("mysql")
    as_user: dict[str, object] = {
        "env": environment(binary),
        "cwd": folder,
        "user": user,
        "extra_groups": [] if user else None,
    }
    common = [
        str(binary),
        f"--defaults-file={folder / 'my.cnf'}",
        f"--datadir={folder / 'data'}",
        f"--lc-messages-dir={binary.parents[1] / 'share' / 'mysql'}",
        f"--socket={folder / 'socket'}",
        # In a folder that others clear, files of its own would vanish.
        f"--tmpdir={folder}",
        f"--pid-file={folder / 'pid'}",
    ]
    return common, as_user


def _ready(server: Server, process: subprocess.Popen[bytes], folder: Path) -> Server:
    deadline = time.monotonic() + 60
    while True:
        if process.poll() is not None:
            raise NoServerError(f"The server ended at once: {(folder / 'log').read_text()[-500:]}")
        try:
            server.connect().close()
            return server
        except pymysql.Error as error:
            if time.monotonic() > deadline:
                process.kill()
                process.wait()
                raise NoServerError(f"The server did not answer within 60 s: {error}") from error
            time.sleep(0.05)


def _installed() -> Path | None:
    on_path = shutil.which("mariadbd")
    found = [Path(on_path)] if on_path else []
    found += [Path("/usr/sbin/mariadbd"), CACHE / "root/usr/sbin/mariadbd"]
    return next((path for path in found if path.exists()), None)
