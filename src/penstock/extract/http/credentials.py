"""Credentials of a connection: what they add to a call, and what must never be shown."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from penstock.errors import ConfigurationError
from penstock.extract.http.address import Veil, parse_url
from penstock.model.specs import ConnectionSpec
from penstock.names import unknown
from penstock.values import dataclass

_KINDS = ("bearer", "header", "query", "basic", "none")
_AUTH_OPTIONS = ("kind", "name", "user", "secret")
_USUAL = {"token": "bearer", "key": "header", "password": "basic"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a call carries to its own server and to no other.

    Attributes:
        headers: Headers, with the secret ones.
        parameters: Query parameters that carry a key.
        secrets: Every secret value in every spelling in which it is sent.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def veil(self) -> Veil:
        """Return what hides these credentials."""
        return Veil(frozenset(self.parameters), self.secrets)


def credentials_of(connection: ConnectionSpec) -> Credentials:
    """Return the credentials of a connection.

    ``options["auth"]`` says how they are sent: ``{"kind": "bearer"}``, ``{"kind": "header", "name": "X-API-Key"}``,
    ``{"kind": "query", "name": "api_key"}`` or ``{"kind": "basic", "user": "…"}``. Without it a secret ``token`` is
    sent as bearer, a ``key`` in the header ``X-API-Key``, a ``password`` as basic; so are ``api_token``, ``api_key``
    and the like.

    Raises:
        ConfigurationError: An unknown kind, a missing secret, or one that no header can carry.
    """
    url = parse_url(connection.url, where=f"The url of connection {connection.name!r}")
    auth = _auth(connection, bool(url.password))
    headers = {str(name): str(value) for name, value in connection.options.get("headers", {}).items()}
    kind = auth["kind"]
    secrets = [*connection.secrets.values(), url.password]
    parameters: dict[str, str] = {}
    if kind == "basic":
        user = str(auth.get("user") or connection.options.get("user") or connection.secrets.get("user") or url.username)
        password = url.password or _secret(connection, auth, "password")
        pair = b64encode(f"{user}:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {pair}"
        secrets.append(pair)
    elif kind == "bearer":
        headers["Authorization"] = f"Bearer {_secret(connection, auth, 'token')}"
    elif kind == "header":
        headers[str(auth.get("name", "X-API-Key"))] = _secret(connection, auth, "key")
    elif kind == "query":
        parameters[str(auth.get("name", "api_key"))] = _secret(connection, auth, "key")
    for name, value in headers.items():
        _check_header(connection, name, value)
    shown = [secret for secret in secrets if secret]
    return Credentials(headers=headers, parameters=parameters, secrets=tuple(sorted(set(shown), key=len, reverse=True)))


def _auth(connection: ConnectionSpec, password: bool) -> Mapping[str, Any]:
    given = connection.options.get("auth")
    where = f"auth of connection {connection.name!r}"
    if given is None:
        for name, kind in _USUAL.items():
            for secret in connection.secrets:
                if secret == name or secret.endswith(f"_{name}"):
                    return {"kind": kind, "secret": secret}
        if connection.secrets:
            raise ConfigurationError(
                f"Connection {connection.name!r} has a secret and does not say how it is sent",
                value=", ".join(sorted(connection.secrets)),
                remedy='Add auth = {kind = "bearer"}, "header", "query" or "basic" to it, with secret = its name',
            )
        return {"kind": "basic" if password else "none"}
    auth = {"kind": given} if isinstance(given, str) else dict(given)
    for name in auth:
        if name not in _AUTH_OPTIONS:
            raise unknown("key", name, _AUTH_OPTIONS, where=where)
    if auth.get("kind") not in _KINDS:
        raise unknown("kind", str(auth.get("kind")), _KINDS, where=where)
    return auth


def _secret(connection: ConnectionSpec, auth: Mapping[str, Any], default: str) -> str:
    name = str(auth.get("secret", default))
    if name in connection.secrets:
        return connection.secrets[name]
    if "secret" not in auth and len(connection.secrets) == 1:
        return next(iter(connection.secrets.values()))
    raise ConfigurationError(
        f"Connection {connection.name!r} needs a secret {name!r} for its auth of kind {auth['kind']!r}",
        valid=sorted(connection.secrets) or "none is given yet",
    )


def _check_header(connection: ConnectionSpec, name: str, value: str) -> None:
    if not value.isascii() or not value.isprintable() or value != value.strip():
        raise ConfigurationError(
            f"Header {name!r} of connection {connection.name!r} holds characters that no header can carry",
            valid="printable ASCII",
            remedy="Is there a line break or a blank at the end of the secret?",
        )
