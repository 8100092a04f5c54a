"""A real PostgreSQL for tests: its own data folder, a free loopback port, gone by process id at the end.

The binaries are those of the machine, or, where it has none, Debian's packages: installed by root, unpacked into
``.cache/servers`` by anybody else.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from servers.debian import CACHE, NoServerError, environment, free_port, provided, unprivileged

_WANTED = re.compile(
    r"postgresql-\d+|lib(pq|icu|xml2|ldap|sasl2|gssapi|krb5|k5crypto|com-err|keyutils|lz4|zstd|ssl|numa|uring)[-.\w]*"
)
"""Of all that the package ``postgresql`` depends on: what a server on a bare machine needs."""
TRUSTED = "tester"
"""The superuser; any password will do."""
GUARDED, PASSWORD = "guarded", "pa:ss@wör/d"
"""A user whose password is asked for (scram)."""

_SETTINGS = """
listen_addresses = '127.0.0.1'
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
shared_buffers = 64MB
max_connections = 40
timezone = 'America/New_York'
jit = off
logging_collector = off
max_prepared_transactions = 4
wal_level = logical
"""
_ACCESS = f"""
host all {GUARDED} 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""


@dataclass(frozen=True)
class PostgresServer:
    """A running server; ``log`` is what it says."""

    port: int
    pid: int
    log: Path
    database: str = "postgres"

    def url(self, user: str = TRUSTED, password: str | None = None, database: str | None = None) -> str:
        """Return the URL for a user; the password is percent-encoded."""
        secret = "" if password is None else ":" + quote(password, safe="")
        return f"postgresql://{user}{secret}@127.0.0.1:{self.port}/{database or self.database}"

    def execute(self, sql: str, values: tuple[object, ...] | None = None) -> list[tuple[object, ...]]:
        """Run SQL as the superuser, each call a transaction of its own; return the last rows."""
        with psycopg.connect(self.url()) as connection:
            cursor = connection.execute(sql.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def sessions(self) -> int:
        """Return how many others are connected; what a test has let go of may end at any moment."""
        others = "backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ((count,),) = self.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {others}")
        assert isinstance(count, int)
        return count


@contextlib.contextmanager
def running() -> Iterator[PostgresServer]:
    """Start a server, yield it, stop it by its process id and remove its data.

    Raises:
        NoServerError: If there are no binaries and none can be fetched, or the server does not come up.
    """
    binaries = provided(["postgresql"], _WANTED, _installed)
    folder = Path(tempfile.mkdtemp(prefix="penstock-postgres-"))
    try:
        process, port = _start(binaries, folder)
        try:
            server = PostgresServer(port=port, pid=process.pid, log=folder / "log")
            _wait(server, process, folder)
            yield server
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def program(name: str) -> Path:
    """Return a program that comes with the server, as ``pgbench``.

    Raises:
        NoServerError: There is none.
    """
    return provided(["postgresql"], _WANTED, _installed) / name


def _start(binaries: Path, folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    user = unprivileged("postgres")
    data = folder / "data"
    if user is not None:
        os.chown(folder, user, -1)
    # A folder that a foreign user cannot enter is no place to start from.
    as_user: dict[str, object] = {
        "env": environment(binaries),
        "cwd": folder,
        "user": user,
        "extra_groups": [] if user else None,
    }
    made = subprocess.run(
        [binaries / "initdb", "-D", data, "-U", TRUSTED, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
        capture_output=True,
        text=True,
        check=False,
        **as_user,  # type: ignore[call-overload]
    )
    if made.returncode:
        raise NoServerError(f"initdb failed: {made.stderr.strip()[-500:]}")
    with (data / "postgresql.conf").open("a") as settings:
        settings.write(f"{_SETTINGS}unix_socket_directories = '{folder}'\n")
    (data / "pg_hba.conf").write_text(_ACCESS)
    port = free_port()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [binaries / "postgres", "-D", data, "-p", str(port)],
            stdout=log,
            stderr=log,
            **as_user,  # type: ignore[call-overload]
        )
    return process, port


def _wait(server: PostgresServer, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        if process.poll() is not None:
            raise NoServerError(f"postgres ended at once: {(folder / 'log').read_text()[-500:]}")
        try:
            with psycopg.connect(server.url(), connect_timeout=2) as connection:
                connection.execute("SET password_encryption = 'scram-sha-256'")
                secret = PASSWORD.replace("'", "''")
                connection.execute(f"CREATE ROLE {GUARDED} LOGIN PASSWORD '{secret}'".encode())
                connection.execute(f"GRANT pg_read_all_data TO {GUARDED}".encode())
            return
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise NoServerError(f"postgres did not answer within 30 s: {error}") from error
            time.sleep(0.05)


def _installed() -> Path | None:
    on_path = shutil.which("postgres")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    folders += sorted(CACHE.glob("root/usr/lib/postgresql/*/bin"), reverse=True)
    return next((path for path in folders if (path / "postgres").exists() and (path / "initdb").exists()), None)
