from __future__ import annotations

import psycopg
import pytest

from servers.postgres import GUARDED, PASSWORD, PostgresServer

pytestmark = pytest.mark.postgres


def test_the_server_trusts_one_user_and_asks_the_other_for_a_password(postgres: PostgresServer) -> None:
    assert postgres.execute("SELECT 40 + 2") == [(42,)]
    with psycopg.connect(postgres.url(GUARDED, PASSWORD)) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (GUARDED,)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.url(GUARDED, "wrong"))
