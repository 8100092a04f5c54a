"""Debian's packages of servers: those installed, else installed by root, else unpacked into ``.cache/servers``."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "servers"


class NoServerError(Exception):
    """The server cannot be had on this machine; the message says why."""


def provided(
    packages: list[str], wanted: re.Pattern[str], find: Callable[[], Path | None], *, install: bool = True
) -> Path:
    """Return what ``find`` finds, after fetching the packages where it found nothing.

    Args:
        packages: What root installs.
        wanted: Of all that the packages depend on: what a server on a bare machine needs.
        find: Looks for the binaries on the machine and below ``CACHE / "root"``.
        install: Root installs them; else they are unpacked for root as well.

    Raises:
        NoServerError: If they cannot be had.
    """
    found = find()
    if found is None and install and os.getuid() == 0:
        run("apt-get", "update")
        run("apt-get", "install", "-y", "--no-install-recommends", *packages)
        found = find()
    if found is None:
        _unpack(packages, wanted)
        found = find()
    if found is None:
        raise NoServerError(f"the unpacked packages {', '.join(packages)} hold no server")
    return found


def environment(binaries: Path) -> dict[str, str]:
    """Return the environment in which binaries find their libraries."""
    made = {**os.environ, "LC_ALL": "C.UTF-8"}
    if CACHE in binaries.parents:
        made["LD_LIBRARY_PATH"] = ":".join(str(path) for path in sorted(CACHE.glob("root/usr/lib/*-linux-gnu*")))
    return made


def run(*command: str, cwd: Path | None = None, seconds: float = 300) -> str:
    """Run a command for five minutes at most, if not told otherwise; raises NoServerError."""
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=quiet, timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoServerError(f"{command[0]} cannot be used: {error}") from error
    if done.returncode:
        raise NoServerError(f"{' '.join(command[:2])} failed: {done.stderr.strip()[-300:]}")
    return done.stdout


def unprivileged(*names: str) -> int | None:
    """Return the user id to run a server as: None keeps the present one, which is not root's."""
    if os.getuid() != 0:
        return None
    for name in (*names, "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_uid
    raise NoServerError(f"The server does not run as root, and there is no user {' or '.join((*names, 'nobody'))}")


def free_port() -> int:
    """Return a free port of loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _unpack(packages: list[str], wanted: re.Pattern[str]) -> None:
    folder = CACHE / "-".join(packages)
    folder.mkdir(parents=True, exist_ok=True)
    lists = _own_lists(packages[0])
    needed = [name for name in depended(lists, packages) if wanted.fullmatch(name)]
    run("apt-get", *lists, "download", *needed, cwd=folder)
    for package in sorted(folder.glob("*.deb")):
        run("dpkg", "-x", str(package), str(CACHE / "root"))


def depended(lists: list[str], packages: list[str]) -> list[str]:
    """Return packages and all that they depend on."""
    strict = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
    listed = run("apt-cache", *lists, "depends", "--recurse", *(f"--no-{kind}" for kind in strict), *packages)
    return sorted({line for line in listed.splitlines() if re.fullmatch(r"[a-z0-9][\w.+-]+", line)})


def _own_lists(package: str) -> list[str]:
    """Return the options by which apt uses package lists in the cache folder, fetched where the machine has none."""
    if "Candidate: (none)" not in (known := run("apt-cache", "policy", package)) and known.strip():
        return []
    folder = CACHE / "apt"
    for part in ("state/lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    options = ["-o", f"Dir::State={folder}/state", "-o", f"Dir::Cache={folder}/cache"]
    options += ["-o", "Dir::State::status=/var/lib/dpkg/status", "-o", "Debug::NoLocking=1"]
    run("apt-get", *options, "update")
    return options
