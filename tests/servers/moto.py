"""A real S3 server for tests: moto, in an environment of its own below ``.cache/servers``."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from servers.debian import CACHE, NoServerError, run
from servers.serving import fetching, served

_MOTO = "moto[server]==5.2.5"


@contextmanager
def running() -> Iterator[str]:
    """Run the server; gives its address.

    Raises:
        NoServerError: It cannot be installed.
    """
    script = str(Path(__file__).with_name("moto_writes.py"))
    with served([str(_installed()), "-P", script, "{port}"], "/moto-api/") as url:
        yield url


def _installed() -> Path:
    with fetching("moto") as home:
        python = home / "bin" / "python"
        if not (home / "bin" / "moto_server").exists():
            run(_uv(), "venv", "--quiet", "--clear", "--python", sys.executable, str(home))
            run(_uv(), "pip", "install", "--quiet", "--python", str(python), _MOTO)
    return python


def _uv() -> str:
    for place in (Path(sys.prefix, "bin", "uv"), CACHE.parent / "uv" / "bin" / "uv"):
        if place.exists():
            return str(place)
    found = shutil.which("uv")
    if found is None:
        raise NoServerError("uv, which installs it, is not on this machine")
    return found
