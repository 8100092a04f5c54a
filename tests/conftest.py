"""Fixtures for all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from servers.postgres import NoServerError, PostgresServer, running


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL; where none can be had: a skip with the reason, or a failure if servers are required."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(running())
        except NoServerError as error:
            if os.environ.get("PENSTOCK_REQUIRE_SERVERS") == "1":
                pytest.fail(f"no PostgreSQL: {error}")
            pytest.skip(f"no PostgreSQL: {error}")
        yield server


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long forms out unless they are asked for by ``-m``; ``.ci/soak`` does so."""
    if "slow" in config.getoption("markexpr"):
        return
    long = [item for item in items if item.get_closest_marker("slow")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
