"""Addresses: joining, comparing, and showing them without secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from urllib.parse import quote

import httpx

from penstock.errors import ConfigurationError
from penstock.values import dataclass

_SECRET_PARAMETERS = frozenset(
    {
        "access_token", "api-key", "api_key", "apikey", "appid", "auth", "auth_token", "client_secret", "key",
        "password", "secret", "sig", "signature", "token", "x-amz-credential", "x-amz-security-token",
        "x-amz-signature",
    }
)  # fmt: skip
_HIDDEN = "***"
_SHORTEST_SECRET = 4


def parse_url(url: str, *, where: str) -> httpx.URL:
    """Read an absolute ``http`` or ``https`` address.

    Args:
        url: The address; shown in the error without userinfo and query.
        where: What it belongs to, for the message.

    Raises:
        ConfigurationError: If it is no such address.
    """
    try:
        found = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError, TypeError) as error:
        raise ConfigurationError(f"{where} is not an address", value=_bare(url), valid=f"a URL ({error})") from None
    if found.scheme not in ("http", "https") or not found.host:
        raise ConfigurationError(
            f"{where} is not an HTTP address", value=_bare(url), valid="http://host… or https://host…"
        )
    return found


def server(url: httpx.URL) -> str:
    """Return scheme, host and port: what may see the credentials of a connection."""
    port = url.port or (443 if url.scheme == "https" else 80)
    return f"{url.scheme}://{url.host}:{port}"


def below(base: str, path: str) -> str:
    """Return ``path`` below the base address, whose own path and query are kept."""
    address, mark, query = base.partition("?")
    joined = address.rstrip("/") + ("/" + path.lstrip("/") if path else "")
    own, _, rest = joined.partition("?")
    both = "&".join(part for part in (query if mark else "", rest) if part)
    return f"{own}?{both}" if both else own


def with_parameters(url: str, parameters: Mapping[str, object]) -> str:
    """Return the address with query parameters set; a list gives a parameter several times, None removes it."""
    found = httpx.URL(url)
    kept = [(name, value) for name, value in found.params.multi_items() if name not in parameters]
    for name, value in parameters.items():
        items = value if isinstance(value, (list, tuple)) else (value,)
        kept.extend((name, _text(item)) for item in items if item is not None)
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe=',:/@')}" for name, value in kept)
    return str(found.copy_with(query=query.encode() or None, fragment=None))


@dataclass(frozen=True, slots=True)
class Veil:
    """Shows addresses and texts without the secrets of a connection.

    Attributes:
        parameters: Query parameters that carry a secret, besides those whose name says it.
        secrets: Values never shown, wherever they stand.
    """

    parameters: frozenset[str] = frozenset()
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def url(self, url: str | httpx.URL) -> str:
        """Return the address without userinfo, fragment and parameters that carry secrets."""
        found = httpx.URL(url)
        plain = found.copy_with(userinfo=b"", fragment=None)
        hidden = {name: None for name in plain.params if self._hides(name)}
        return self.text(with_parameters(str(plain), hidden) if hidden else str(plain))

    def text(self, text: str) -> str:
        """Return a text in which every known secret is replaced by asterisks."""
        for secret in self.secrets:
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, _HIDDEN).replace(quote(secret, safe=""), _HIDDEN)
        return text

    def _hides(self, name: str) -> bool:
        return name in self.parameters or name.lower() in _SECRET_PARAMETERS


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _bare(url: object) -> str:
    text = str(url).partition("?")[0]
    scheme, mark, rest = text.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}" if mark else text.rpartition("@")[2]
