"""Where the database of a connection is: a server behind a network address, or a file of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from penstock.errors import ConfigurationError
from penstock.extract.port import Request
from penstock.model.specs import ConnectionSpec
from penstock.names import unknown
from penstock.values import dataclass


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Host, port, database (or service) and user of a connection; no secret but the user's name."""

    host: str
    port: int
    database: str
    user: str


def server(place: ConnectionSpec, port: int, example: str) -> ServerAddress:
    """Return the address of a connection's server.

    Args:
        place: The connection; an option or secret ``user`` goes before the one in the URL.
        port: The port where the URL names none.
        example: A valid URL, for the message.

    Raises:
        ConfigurationError: The URL cannot be read or names no database.
    """
    try:
        parts = urlsplit(place.url)
        database = unquote(parts.path.strip("/"))
        host, port = parts.hostname or "localhost", parts.port or port
    except ValueError:
        database = ""
    if not database:
        raise ConfigurationError(
            f"The URL of the connection {place.name!r} is not valid",
            valid=f"{example}, special characters in it percent-encoded",
        )
    user = place.options.get("user") or place.secrets.get("user") or unquote(parts.username or "")
    return ServerAddress(host, port, database, str(user))


def file(request: Request, kind: str, called: str, suffixes: Sequence[str]) -> Path:
    """Return the file that a connection names by ``kind:///path``.

    Args:
        request: Names the connection; its path is relative to the project.
        kind: The scheme of the URL.
        called: What such a file is called, for the message.
        suffixes: How the names of such files end, to say which there are.

    Raises:
        ConfigurationError: There is no such file.
    """
    url = request.connection.url if request.connection is not None else ""
    bare = unquote(url.removeprefix(f"{kind}:"))
    bare = bare.removeprefix("///") if bare.startswith("///") else bare.removeprefix("//")
    path = Path(request.root) / Path(bare).expanduser()
    if not bare or not path.is_file():
        near = sorted(each.name for each in path.parent.glob("*") if each.suffix.lower() in suffixes)
        raise unknown(called, path.name, near, where=str(path.parent))
    return path
