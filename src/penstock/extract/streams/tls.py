"""TLS as connections of streams say it: ``ssl_ca``, ``ssl_certificate``, ``ssl_key_file``."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from penstock.errors import ConfigurationError

if TYPE_CHECKING:
    from penstock.model.specs import ConnectionSpec


def context(connection: ConnectionSpec) -> ssl.SSLContext:
    """Return a context that trusts what the connection trusts.

    Raises:
        ConfigurationError: Its certificates cannot be read.
    """
    given = connection.options
    try:
        found = ssl.create_default_context(cafile=given.get("ssl_ca"))
        if "ssl_certificate" in given:
            found.load_cert_chain(given["ssl_certificate"], given.get("ssl_key_file"))
    except OSError as error:
        raise ConfigurationError(
            f"The certificates of connection {connection.name!r} cannot be read: {error.strerror}"
        ) from None
    return found


def untrusted(connection: str, error: ssl.SSLCertVerificationError) -> ConfigurationError:
    """Return that the certificate of a far end is not trusted."""
    return ConfigurationError(
        f"The certificate of connection {connection!r} is not trusted: {error.verify_message}",
        remedy="Name the authority's certificate: ssl_ca = …",
    )
