"""The servers of the tests, for benchmarks."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from benchmarks.sizes import ROOT


@contextlib.contextmanager
def server(name: str) -> Iterator[Any]:
    """Run a server.

    Args:
        name: The module of ``tests/servers`` that knows how, as ``postgres``.
    """
    sys.path.insert(0, str(ROOT / "tests"))
    try:
        running = import_module(f"servers.{name}").running
    finally:
        sys.path.remove(str(ROOT / "tests"))
    with running() as begun:
        yield begun
