"""Production's warehouse where it is a database."""

from __future__ import annotations

from urllib.parse import urlsplit

from penstock.model.specs import ConnectionSpec
from penstock.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresSpec:
    """A schema of a PostgreSQL database that readers are served from.

    Attributes:
        connection: Where the database is, and as whom it is entered.
        schema: The schema with the views.
        lock_timeout: Seconds that one attempt to replace the views may take, and so how long it may hold up a reader.
        lock_wait: Seconds of attempts after which the replacement is left to the next command.
    """

    connection: ConnectionSpec
    schema: str = "public"
    lock_timeout: float = 0.5
    lock_wait: float = 120.0

    @property
    def shown(self) -> str:
        """Where it is, without user and password."""
        try:
            parts = urlsplit(self.connection.url)
            port = f":{parts.port}" if parts.port else ""
            place = f"{parts.hostname or 'local socket'}{port}{parts.path}"
        except ValueError:
            place = self.connection.name
        return f"PostgreSQL {place}, schema {self.schema}"

    @property
    def versions(self) -> str:
        """The schema that holds the versions of tables."""
        return f"penstock_{self.schema}"
