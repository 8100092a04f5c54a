"""A Google Cloud Storage server for tests: fake-gcs-server, built by Go below ``.cache/servers``, made writable."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from servers.debian import NoServerError, run
from servers.gcs_writes import writable
from servers.serving import fetching, served

_MODULE = "github.com/fsouza/fake-gcs-server"
_VERSION = "v1.56.1"


@contextmanager
def running() -> Iterator[str]:
    """Run the server; gives its address.

    Raises:
        NoServerError: There is no Go, or it cannot be built.
    """
    with fetching("gcs") as home:
        server = home / _MODULE.rpartition("/")[2]
        if not server.exists():
            if shutil.which("go") is None:
                raise NoServerError("Go, which builds it, is not on this machine")
            run("env", f"GOBIN={home}", "go", "install", f"{_MODULE}@{_VERSION}", seconds=900)
    command = [str(server), "-scheme", "http", "-host", "127.0.0.1", "-port", "{port}", "-backend", "memory"]
    command += ["-public-host", "127.0.0.1:{port}"]
    with served(command, "/storage/v1/b?project=p") as url, writable(url) as front:
        yield front
