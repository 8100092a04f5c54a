"""Fixtures for all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import TypeVar

import pytest

from servers import mariadb as _mariadb
from servers import postgres as _postgres
from servers.debian import NoServerError
from servers.mariadb import MariaServer
from servers.postgres import PostgresServer

Server = TypeVar("Server")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL."""
    yield from _served("PostgreSQL", _postgres.running())


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaServer]:
    """A real MariaDB."""
    yield from _served("MariaDB", _mariadb.running())


def _served(name: str, running: AbstractContextManager[Server]) -> Iterator[Server]:
    """Yield a server; where none can be had: a skip with the reason, or a failure if servers are required."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(running)
        except NoServerError as error:
            if os.environ.get("PENSTOCK_REQUIRE_SERVERS") == "1":
                pytest.fail(f"no {name}: {error}")
            pytest.skip(f"no {name}: {error}")
        yield server


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long forms out unless they are asked for by ``-m``; ``.ci/soak`` does so."""
    if "slow" in config.getoption("markexpr"):
        return
    long = [item for item in items if item.get_closest_marker("slow")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
