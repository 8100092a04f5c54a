"""A real Kinesis for tests: Kinesalite, which splits and merges shards, installed by npm below ``.cache/servers``."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from servers.debian import NoServerError, run
from servers.serving import fetching, served

_VERSION = "3.3.3"


@contextmanager
def running() -> Iterator[str]:
    """Run the server, which keeps all in memory; gives its address.

    Raises:
        NoServerError: There is no npm, or it cannot be installed.
    """
    with fetching(f"kinesalite-{_VERSION}") as home:
        script = home / "node_modules" / "kinesalite" / "cli.js"
        if not script.exists():
            if shutil.which("npm") is None or shutil.which("node") is None:
                raise NoServerError("node and npm, which it needs, are not on this machine")
            quiet = ("--no-audit", "--no-fund", "--ignore-scripts")
            run("npm", "install", *quiet, "--prefix", str(home), f"kinesalite@{_VERSION}")
    soon = [f"--{what}StreamMs=20" for what in ("create", "update", "delete")]
    with served(["node", str(script), "--port", "{port}", "--shardLimit", "1000", *soon], "/") as url:
        yield url
