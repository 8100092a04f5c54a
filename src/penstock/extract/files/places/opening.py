"""From a URL to the place that it means."""

from __future__ import annotations

from urllib.parse import quote, unquote, urlsplit

from penstock.errors import ConfigurationError
from penstock.extract.files.places.port import Access, Address, Place
from penstock.model.buckets import SCHEMES as BUCKETS

SCHEMES = {**BUCKETS, "http": "http", "https": "https", "sftp": "sftp"}
"""Scheme of a URL to the kind of place."""


def remote(text: str) -> bool:
    """Say whether a text is the URL of a place that is not this machine's disk."""
    scheme, separator, _ = text.partition("://")
    return bool(separator) and scheme.lower() in SCHEMES


def address(url: str) -> Address:
    """Take a URL apart; globs may stand in its path.

    Raises:
        ConfigurationError: It names no bucket, container or host.
    """
    scheme, _, rest = url.partition("://")
    kind = SCHEMES[scheme.lower()]
    host, _, name = rest.partition("/")
    query = ""
    if kind in ("http", "https"):
        # Only there does a question mark begin a query; elsewhere it stands for one letter.
        name, _, query = name.partition("?")
    if kind == "az" and "@" in host:
        # abfss://container@account.dfs.core.windows.net/path
        host = host.partition("@")[0]
    if not host:
        raise ConfigurationError(f"A URL with {scheme}:// names no bucket or host", valid=f"{scheme}://NAME/path")
    return Address(kind, host, name, query)


def joined(base: Address, path: str) -> Address:
    """Return the address of a path, a glob or a whole URL, below the address of a connection.

    Raises:
        ConfigurationError: The URL lies elsewhere, where the credentials of the connection must not be sent.
    """
    if remote(path):
        other = address(path)
        if (other.scheme, other.host) != (base.scheme, base.host):
            raise ConfigurationError(
                f"The path lies outside of its connection, {base.scheme}://{base.host.rpartition('@')[2]}",
                value=path.partition("?")[0],
                remedy="Give a path relative to the connection, or make a connection for that place",
            )
        return other
    if path in ("", "."):
        return base
    if ".." in path.split("/"):
        raise ConfigurationError("The path of files in a store goes upwards", value=path, valid="a path without '..'")
    name, query = path, base.query
    if base.scheme in ("http", "https"):
        name, _, query = path.partition("?")
    folder = base.name.rstrip("/")
    return Address(base.scheme, base.host, f"{folder}/{name.lstrip('/')}" if folder else name.lstrip("/"), query)


def opened(where: Address, access: Access) -> Place:
    """Open the place of an address; see ``Place``.

    Raises:
        ConfigurationError: An option does not fit, or an extra is missing.
    """
    if where.scheme in ("http", "https"):
        from penstock.extract.files.places.web import WebPlace

        return WebPlace(where, access)
    if where.scheme == "sftp":
        from penstock.extract.files.places.sftp import SftpPlace

        return SftpPlace(where, access)
    from penstock.extract.files.places.buckets import BucketPlace

    return BucketPlace(where, access)


def user_and_host(host: str) -> tuple[str | None, str, int | None]:
    """Take ``user@host:port`` apart."""
    parts = urlsplit(f"//{host}")
    return (unquote(parts.username) if parts.username else None), parts.hostname or "", parts.port


def spelt(name: str) -> str:
    """Return a path as it stands in a URL."""
    return quote(unquote(name), safe="/~!$&'()*+,;=:@")
