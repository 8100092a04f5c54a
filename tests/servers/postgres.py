"""A real PostgreSQL for tests: its own data folder, a free loopback port, gone by process id at the end.

The binaries are those of the machine, or, where it has none, Debian's packages: installed by root, unpacked into
``.cache/servers`` by anybody else.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "servers"
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
"""
_ACCESS = f"""
host all {GUARDED} 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""


class NoServerError(Exception):
    """The server cannot be had on this machine; the message says why."""


@dataclass(frozen=True)
class PostgresServer:
    """A running server."""

    port: int
    pid: int
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


@contextlib.contextmanager
def running() -> Iterator[PostgresServer]:
    """Start a server, yield it, stop it by its process id and remove its data.

    Raises:
        NoServerError: If there are no binaries and none can be fetched, or the server does not come up.
    """
    binaries, environment = _binaries()
    folder = Path(tempfile.mkdtemp(prefix="penstock-postgres-"))
    try:
        process, port = _start(binaries, environment, folder)
        try:
            server = PostgresServer(port=port, pid=process.pid)
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


def _start(binaries: Path, environment: dict[str, str], folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    user = _unprivileged()
    data = folder / "data"
    if user is not None:
        os.chown(folder, user, -1)
    # A folder that a foreign user cannot enter is no place to start from.
    as_user: dict[str, object] = {"env": environment, "cwd": folder, "user": user, "extra_groups": [] if user else None}
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
    port = _free_port()
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


def _binaries() -> tuple[Path, dict[str, str]]:
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    found = _installed()
    if found is None and os.getuid() == 0:
        _run("apt-get", "update")
        _run("apt-get", "install", "-y", "--no-install-recommends", "postgresql")
        found = _installed()
    if found is None:
        found = _unpack()
    if CACHE in found.parents:
        environment["LD_LIBRARY_PATH"] = ":".join(str(path) for path in sorted(CACHE.glob("root/usr/lib/*-linux-gnu*")))
    return found, environment


def _installed() -> Path | None:
    on_path = shutil.which("postgres")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    folders += sorted(CACHE.glob("root/usr/lib/postgresql/*/bin"), reverse=True)
    return next((path for path in folders if (path / "postgres").exists() and (path / "initdb").exists()), None)


def _unpack() -> Path:
    CACHE.mkdir(parents=True, exist_ok=True)
    lists = _own_lists()
    strict = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
    listed = _run("apt-cache", *lists, "depends", "--recurse", *(f"--no-{kind}" for kind in strict), "postgresql")
    packages = sorted({line for line in listed.splitlines() if _WANTED.fullmatch(line)})
    _run("apt-get", *lists, "download", *packages, cwd=CACHE)
    for package in sorted(CACHE.glob("*.deb")):
        _run("dpkg", "-x", str(package), str(CACHE / "root"))
    found = _installed()
    if found is None:
        raise NoServerError("the unpacked packages hold no postgres")
    return found


def _own_lists() -> list[str]:
    """Return the options by which apt uses package lists in the cache folder, fetched where the machine has none."""
    if "Candidate: (none)" not in (known := _run("apt-cache", "policy", "postgresql")) and known.strip():
        return []
    folder = CACHE / "apt"
    for part in ("state/lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    options = ["-o", f"Dir::State={folder}/state", "-o", f"Dir::Cache={folder}/cache"]
    options += ["-o", "Dir::State::status=/var/lib/dpkg/status", "-o", "Debug::NoLocking=1"]
    _run("apt-get", *options, "update")
    return options


def _run(*command: str, cwd: Path | None = None) -> str:
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=quiet, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoServerError(f"{command[0]} cannot be used: {error}") from error
    if done.returncode:
        raise NoServerError(f"{' '.join(command[:2])} failed: {done.stderr.strip()[-300:]}")
    return done.stdout


def _unprivileged() -> int | None:
    """Return the user id to run as: None keeps the present one, which PostgreSQL accepts unless it is root."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_uid
    raise NoServerError("PostgreSQL does not run as root, and there is no user postgres or nobody")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
