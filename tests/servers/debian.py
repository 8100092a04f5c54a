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


def unstable(package: str, unneeded: re.Pattern[str]) -> Path:
    """Return a folder with a package of Debian's unstable suite and all that it depends on, its C library as well.

    Nothing of it is installed, and nothing of the machine's is used: a program of it is started by ``loaded``.

    Args:
        package: A package that no stable release has.
        unneeded: Of what it depends on: what may be left away.

    Raises:
        NoServerError: If it cannot be had.
    """
    folder = CACHE / f"unstable-{package}"
    root = folder / "root"
    if root.exists():
        return root
    options = _unstable_lists(folder)
    needed = [name for name in _depended(options, [package]) if not unneeded.fullmatch(name)]
    fetched, unpacked = folder / "fetched", folder / "unpacked"
    for each in (fetched, unpacked):
        each.mkdir(exist_ok=True)
    run("apt-get", *options, "download", *needed, cwd=fetched)
    for each in sorted(fetched.glob("*.deb")):
        run("dpkg", "-x", str(each), str(unpacked))
        each.unlink()
    # The name says that all of it is there.
    with contextlib.suppress(FileExistsError):
        unpacked.rename(root)
    return root


def loaded(root: Path, binary: str) -> list[str]:
    """Return the command that starts a program of ``unstable`` with the libraries beside it."""
    (loader,) = {path.resolve() for path in root.glob("usr/lib/*-linux-gnu/ld-linux-*.so.*")}
    return [str(loader), "--library-path", str(loader.parent), str(root / binary)]


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
    needed = [name for name in _depended(lists, packages) if wanted.fullmatch(name)]
    run("apt-get", *lists, "download", *needed, cwd=folder)
    for package in sorted(folder.glob("*.deb")):
        run("dpkg", "-x", str(package), str(CACHE / "root"))


def _depended(lists: list[str], packages: list[str]) -> list[str]:
    """Return packages and all that they depend on."""
    strict = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
    listed = run("apt-cache", *lists, "depends", "--recurse", *(f"--no-{kind}" for kind in strict), *packages)
    return sorted({line for line in listed.splitlines() if re.fullmatch(r"[a-z0-9][\w.+-]+", line)})


def _unstable_lists(folder: Path) -> list[str]:
    """Return the options by which apt uses the lists of Debian's unstable suite, from where the machine has its own."""
    known = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(SIGNED_BY)", "Created-By: Packages")
    places = [line.split() for line in known.splitlines() if "security" not in line]
    if not places:
        raise NoServerError("apt has no sources on this machine")
    place, *keys = places[0]
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    signed = keys[0] if keys and keys[0].startswith("/") else keyring
    for part in ("state/lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "sources.list").write_text(f"deb [signed-by={signed}] {place} unstable main\n")
    options = ["-o", f"Dir::State={folder}/state", "-o", f"Dir::Cache={folder}/cache"]
    options += ["-o", f"Dir::Etc::sourcelist={folder}/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null"]
    options += ["-o", "Dir::State::status=/dev/null", "-o", "Debug::NoLocking=1", "-o", "Acquire::Languages=none"]
    run("apt-get", *options, "update")
    return options


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
