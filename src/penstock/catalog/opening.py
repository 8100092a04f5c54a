"""Opening a catalog by its URL."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlsplit

from penstock import plugins
from penstock.catalog.port import Catalog
from penstock.errors import ConfigurationError
from penstock.names import moment, nearest

_KINDS = {"sqlite": "sqlite", "postgresql": "postgres", "postgres": "postgres"}


def open_catalog(url: str) -> Catalog:
    """Open the catalog, making or migrating its tables.

    Args:
        url: ``sqlite:///path`` (``sqlite:////path`` is absolute) or ``postgresql://user:password@host/database``.

    Raises:
        ConfigurationError: The URL names no known kind, or the catalog was written by later code.
        DataError: The catalog is damaged; ``penstock doctor --rebuild-catalog`` mends it.
        TransientError: The server is down, or the file was held too long.
    """
    scheme = url.partition(":")[0]
    if scheme not in _KINDS or "://" not in url:
        guess = nearest(scheme, _KINDS)
        raise ConfigurationError(
            "The catalog's URL is of no known kind",
            value=f"{scheme}:…" if "://" in url else url,
            valid="sqlite:///path/catalog.db or postgresql://user@host/database",
            remedy=f"Did you mean {guess!r}?" if guess else None,
        )
    kind = _KINDS[scheme]
    target = str(sqlite_path(url)) if kind == "sqlite" else url
    return cast(Catalog, plugins.find("catalog", kind)(target))


def sqlite_path(url: str) -> Path:
    """Return the file that a ``sqlite:///`` URL names.

    Raises:
        ConfigurationError: The URL names none.
    """
    parts = urlsplit(url)
    path = unquote(parts.path[1:])
    if parts.netloc or not path:
        raise ConfigurationError(
            "A SQLite URL needs three slashes and a path", value=url, valid="sqlite:///path/file.db"
        )
    return Path(path)


def set_aside(url: str, at: datetime) -> Path | None:
    """Move a damaged SQLite catalog out of the way, with its log, so that a new one can be made.

    Args:
        url: As in ``penstock.toml``.
        at: The moment, for the new name.

    Returns:
        Where it is now, or None if there was no file (or the catalog is no file).
    """
    if not url.startswith("sqlite:"):
        return None
    path = sqlite_path(url)
    aside = path.with_name(f"{path.name}.damaged-{moment(at)}")
    if not path.exists():
        return None
    # The log goes along: left behind, it would be played into the new file.
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


def set_aside_if_damaged(url: str, at: datetime) -> Path | None:
    """Move a SQLite catalog out of the way if it cannot be read through; see ``set_aside``."""
    if not url.startswith("sqlite:") or not sqlite_path(url).exists():
        return None
    connection = sqlite3.connect(sqlite_path(url))
    try:
        sound = connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except sqlite3.OperationalError:
        # Held or not to be opened: that is no damage, and opening it says so.
        return None
    except sqlite3.DatabaseError:
        sound = False
    finally:
        connection.close()
    return None if sound else set_aside(url, at)
