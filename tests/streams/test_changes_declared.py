"""What a source of changes may not be told, whatever the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from penstock.errors import ConfigurationError
from penstock.model.specs import SourceSpec
from penstock.sources import mysql_changes, postgres_changes


@pytest.mark.parametrize("declared", [mysql_changes, postgres_changes])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"cursor": "at"}, "they say it themselves"),
        ({"write": "merge", "key": "id", "stream": {"start": "latest"}}, "start means nothing"),
        ({"write": "merge"}, "has no key"),
        ({"max_lag": "lots"}, "max_lag of 'orders'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(
    declared: Callable[..., SourceSpec], arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        declared("db", table="orders", **arguments)
