"""Fresh buckets on the servers that the tests start, and what enters them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import obstore
from obstore.store import AzureStore, GCSStore, S3Store

from servers import azurite

SERVERS = {"s3": "s3", "gs": "gcs", "az": "azure"}
"""Kind of store to the fixture that starts its server."""


@dataclass
class MadeBucket:
    """A bucket: its URL, a client for the tests, and how Penstock and deltalake enter it."""

    url: str
    client: Any
    options: Mapping[str, Any]
    secrets: Mapping[str, str] = field(default_factory=dict)
    delta: Mapping[str, str] = field(default_factory=dict)

    def put(self, path: str, data: bytes) -> None:
        obstore.put(self.client, path, data, use_multipart=False)

    def get(self, path: str) -> bytes:
        return bytes(obstore.get(self.client, path).bytes())

    def remove(self, path: str) -> None:
        obstore.delete(self.client, path)

    def paths(self, prefix: str = "") -> list[str]:
        return sorted(meta["path"] for page in obstore.list(self.client, prefix=prefix or None) for meta in page)

    def connection(self, name: str = "store") -> str:
        """Return the connection as it stands in penstock.toml."""
        lines = [f"[connections.{name}]", f'url = "{self.url}"']
        for key, value in {**self.options, **self.secrets}.items():
            lines.append(f"{key} = '{value}'")
        return "\n".join(lines) + "\n"


def made(kind: str, endpoint: str) -> MadeBucket:
    """Make a bucket of a kind: ``s3``, ``gs`` or ``az``."""
    return named(kind, endpoint, f"b-{uuid.uuid4().hex[:8]}")


def named(kind: str, endpoint: str, name: str) -> MadeBucket:
    """Make a bucket of a name."""
    return {"s3": _s3, "gs": _gs, "az": _az}[kind](endpoint, name)


def _s3(endpoint: str, name: str) -> MadeBucket:
    httpx.put(f"{endpoint}/{name}", headers={"Authorization": "AWS test:test"}).raise_for_status()
    options = {"endpoint": endpoint, "region": "us-east-1", "access_key_id": "key-of-tests"}
    secrets = {"secret_access_key": "secret-of-tests"}
    client = S3Store(name, config={**options, **secrets}, client_options={"allow_http": True})
    delta = {f"aws_{key}": value for key, value in {**options, **secrets}.items()} | {"allow_http": "true"}
    return MadeBucket(f"s3://{name}", client, options, secrets, delta)


def _gs(endpoint: str, name: str) -> MadeBucket:
    httpx.post(f"{endpoint}/storage/v1/b?project=p", json={"name": name}).raise_for_status()
    # A key of nobody: the client asks no one for a token.
    key = json.dumps(
        {"gcs_base_url": endpoint, "disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
    )
    client = GCSStore(name, config={"service_account_key": key}, client_options={"allow_http": True})
    delta = {"google_service_account_key": key, "allow_http": "true"}
    return MadeBucket(f"gs://{name}", client, {"endpoint": endpoint}, {"service_account_key": key}, delta)


def _az(endpoint: str, name: str) -> MadeBucket:
    config: Any = {"endpoint": endpoint, "account_name": azurite.ACCOUNT, "account_key": azurite.KEY}
    client = AzureStore(name, config=config, client_options={"allow_http": True})
    _create_container(endpoint, name)
    options = {"endpoint": endpoint, "account": azurite.ACCOUNT}
    delta = {f"azure_storage_{key}": value for key, value in config.items()} | {"allow_http": "true"}
    return MadeBucket(f"az://{name}", client, options, {"account_key": azurite.KEY}, delta)


def _create_container(endpoint: str, container: str) -> None:
    """Create a container by a request signed with the shared key, which the client has no call for."""
    moment = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    version = "2021-12-02"
    account = azurite.ACCOUNT
    text = (
        "PUT\n\n\n\n\n\n\n\n\n\n\n\n"
        f"x-ms-date:{moment}\nx-ms-version:{version}\n/{account}/{account}/{container}\nrestype:container"
    )
    digest = hmac.new(base64.b64decode(azurite.KEY), text.encode(), hashlib.sha256).digest()
    signature = base64.b64encode(digest).decode()
    headers = {
        "x-ms-date": moment, "x-ms-version": version, "Authorization": f"SharedKey {account}:{signature}",
        "Content-Length": "0",
    }  # fmt: skip
    httpx.put(f"{endpoint}/{container}?restype=container", headers=headers).raise_for_status()
