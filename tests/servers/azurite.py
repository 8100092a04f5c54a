"""A real Azure Blob server for tests: Azurite, installed by npm below ``.cache/servers``."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from servers.debian import NoServerError, run
from servers.serving import fetching, served

ACCOUNT = "penstock"
KEY = "cGVuc3RvY2sgdGVzdHMgb25seSwgbm8gc2VjcmV0IQ=="
_VERSION = "3.37.0"
"""Older ones ignore where a listing is to begin, so that a Delta log is never read on."""


@contextmanager
def running() -> Iterator[str]:
    """Run the server; gives its address with the account.

    Raises:
        NoServerError: There is no npm, or it cannot be installed.
    """
    with fetching(f"azurite-{_VERSION}") as home:
        script = home / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
        if not script.exists():
            if shutil.which("npm") is None or shutil.which("node") is None:
                raise NoServerError("node and npm, which it needs, are not on this machine")
            quiet = ("--no-audit", "--no-fund", "--ignore-scripts")
            run("npm", "install", *quiet, "--prefix", str(home), f"azurite@{_VERSION}")
    command = ["node", str(script), "--blobPort", "{port}", "--location", "{folder}", "--silent"]
    quiet_server = ("--skipApiVersionCheck", "--disableTelemetry")
    with served([*command, *quiet_server], "/", {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"}) as url:
        yield f"{url}/{ACCOUNT}"
