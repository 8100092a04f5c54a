"""Packages of Debian's unstable suite, for servers that no stable release has, beside the machine's own libraries."""

from __future__ import annotations

import re
from pathlib import Path

from servers.debian import NoServerError, depended, run
from servers.serving import fetching


def unstable(package: str, unneeded: re.Pattern[str]) -> Path:
    """Return a folder with a package of Debian's unstable suite and all that it depends on, its C library as well.

    Nothing of it is installed, and nothing of the machine's is used: a program of it is started by ``loaded``.

    Args:
        package: A package that no stable release has.
        unneeded: Of what it depends on: what may be left away.

    Raises:
        NoServerError: If it cannot be had.
    """
    with fetching(f"unstable-{package}") as folder:
        root = folder / "root"
        return root if root.exists() else _fetched(folder, package, unneeded)


def loaded(root: Path, binary: str) -> list[str]:
    """Return the command that starts a program of ``unstable`` with the libraries beside it."""
    (loader,) = {path.resolve() for path in root.glob("usr/lib/*-linux-gnu/ld-linux-*.so.*")}
    return [str(loader), "--library-path", str(loader.parent), str(root / binary)]


def _fetched(folder: Path, package: str, unneeded: re.Pattern[str]) -> Path:
    options = _lists(folder)
    needed = [name for name in depended(options, [package]) if not unneeded.fullmatch(name)]
    fetched, unpacked = folder / "fetched", folder / "unpacked"
    for each in (fetched, unpacked):
        each.mkdir(exist_ok=True)
    run("apt-get", *options, "download", *needed, cwd=fetched)
    for each in sorted(fetched.glob("*.deb")):
        run("dpkg", "-x", str(each), str(unpacked))
        each.unlink()
    # The name says that all of it is there.
    return unpacked.rename(folder / "root")


def _lists(folder: Path) -> list[str]:
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
