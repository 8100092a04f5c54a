"""Fixtures of the tests of streams."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from children import Children


@pytest.fixture(scope="session")
def children() -> Iterator[Children]:
    """A process whose children stream."""
    made = Children()
    yield made
    made.close()
