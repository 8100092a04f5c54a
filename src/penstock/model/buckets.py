"""The addresses of buckets: which one a URL means, and what enters it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from penstock.errors import ConfigurationError
from penstock.values import dataclass

SCHEMES: Mapping[str, str] = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gs",
    "gcs": "gs",
    "az": "az",
    "azure": "az",
    "abfs": "az",
    "abfss": "az",
}
"""Scheme of a URL to the kind of store."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket or container, and how it is entered.

    Attributes:
        scheme: ``s3``, ``gs`` or ``az``.
        name: Of the bucket or container.
        options: ``endpoint``, ``region``, ``access_key_id`` (S3), ``account`` (Azure), ``service_account_file`` (GCS),
            ``anonymous``; what is not named is taken from the environment, as the store's own tools do.
        secrets: ``secret_access_key``, ``session_token`` (S3), ``account_key``, ``sas_token`` (Azure),
            ``service_account_key`` (GCS); never shown.
    """

    scheme: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def url(self) -> str:
        """What stands before a name in messages, as ``s3://bucket/``; holds no secret."""
        return f"{self.scheme}://{self.name}/"


def address(url: str) -> tuple[str, str, str]:
    """Take the URL of a bucket apart: the kind of store, the bucket, and the path in it without slashes at its ends.

    Raises:
        ConfigurationError: It names no bucket.
    """
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    if SCHEMES.get(scheme.lower()) == "az" and "@" in host:
        # abfss://container@account.dfs.core.windows.net/path
        host = host.partition("@")[0]
    if not host or scheme.lower() not in SCHEMES:
        raise ConfigurationError("This URL names no bucket", value=url.partition("?")[0], valid="s3://NAME/path")
    return SCHEMES[scheme.lower()], host, path.strip("/")


def account_of(url: str) -> dict[str, str]:
    """Return the option ``account`` that a URL ``abfss://container@account.…/path`` names; empty for all others."""
    host = url.partition("://")[2].partition("/")[0]
    if "@" not in host or SCHEMES.get(url.partition("://")[0].lower()) != "az":
        return {}
    return {"account": host.partition("@")[2].partition(".")[0]}


def is_bucket(place: str) -> bool:
    """Say whether a place is the URL of a bucket."""
    scheme, separator, _ = place.partition("://")
    return bool(separator) and scheme.lower() in SCHEMES
