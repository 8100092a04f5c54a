"""Buckets of S3, Google Cloud Storage and Azure Blob through one client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import obstore
from obstore import exceptions

from penstock.errors import TransientError
from penstock.extract.files.places.port import CHUNK, Access, Address, Listed, changed, forbidden, vanished
from penstock.model.buckets import Bucket
from penstock.stores.buckets import opened, refused

_PAGE = 5000


class BucketPlace:
    """A bucket or container.

    Args:
        where: Its address.
        access: ``endpoint``, ``region``, ``access_key_id`` and ``secret_access_key`` (S3), ``account`` and
            ``account_key`` (Azure), ``service_account_key`` (GCS), ``anonymous``; what is not named is taken from the
            environment, as the store's own tools do.
    """

    def __init__(self, where: Address, access: Access) -> None:
        self.address = f"{where.scheme}://{where.host}/"
        self._where = where
        with self._sentences(""):
            self._store = opened(Bucket(where.scheme, where.host, access.options, access.secrets))

    def one(self, name: str) -> Listed | None:
        """Return an object; see the port."""
        if not name or name.endswith("/"):
            return None
        try:
            with self._sentences(name):
                return _listed(obstore.head(self._store, name))
        except FileNotFoundError:
            return None

    def below(self, folder: str) -> Iterator[Listed]:
        """Yield objects, a page at a time; see the port."""
        with self._sentences(folder):
            for page in obstore.list(self._store, prefix=folder or None, chunk_size=_PAGE):
                # An object whose name ends with a slash is how some tools draw an empty folder.
                yield from (_listed(meta) for meta in page if not meta["path"].endswith("/"))

    def read(self, listed: Listed) -> Iterator[bytes]:
        """Yield an object's bytes, all of one version; see the port."""
        key = self.address + listed.name
        count = 0
        try:
            with self._sentences(listed.name):
                found = obstore.get(self._store, listed.name)
                now = _listed(found.meta)
                if now != listed:
                    raise changed(key, _state(listed), _state(now))
                for chunk in found.stream(min_chunk_size=CHUNK):
                    count += len(chunk)
                    yield bytes(chunk)
        except FileNotFoundError:
            raise vanished(key) from None
        if count != listed.bytes:
            raise changed(key, f"{listed.bytes} bytes", f"{count} bytes")

    def close(self) -> None:
        """Nothing is held."""

    @contextmanager
    def _sentences(self, name: str) -> Iterator[None]:
        """Turn errors of the client into sentences; its own texts may hold headers and are not passed on."""
        what = self.address + name
        try:
            yield
        except FileNotFoundError:
            raise
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError):
            raise forbidden(what) from None
        except exceptions.PreconditionError:
            raise TransientError(f"The file {what} changed while it was read") from None
        except (exceptions.BaseError, OSError, ValueError) as error:
            raise refused(error, what) from None


def _listed(meta: Any) -> Listed:
    moment = meta["last_modified"]
    micros = int(moment.timestamp()) * 1_000_000 + moment.microsecond
    # A listing may spell an ETag with quotes and a header without, or the other way round.
    return Listed(meta["path"], int(meta["size"]), micros // 1_000_000 * 10**9, (meta.get("e_tag") or "").strip('"'))


def _state(listed: Listed) -> str:
    return f"{listed.bytes} bytes, {listed.tag or 'no tag'}"
