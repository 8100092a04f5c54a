"""From a place in the configuration, a folder or the URL of a bucket, to its objects."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.errors import ConfigurationError
from penstock.model.buckets import Bucket, account_of, address, is_bucket
from penstock.model.specs import ConnectionSpec
from penstock.stores.copies import Copies
from penstock.stores.objects import LocalObjects
from penstock.stores.port import Objects


def open_objects(place: str, connections: Iterable[ConnectionSpec], copies: Copies) -> Objects:
    """Open the objects below a place.

    A bucket is entered as the connection says whose URL the place begins with (the longest such), else as the
    environment says.

    Args:
        place: A folder, or a URL as ``s3://bucket/prefix``.
        connections: The project's connections.
        copies: Where copies of objects in buckets are kept.

    Raises:
        ConfigurationError: Two connections name the same place.
    """
    if not is_bucket(place):
        return LocalObjects(place)
    scheme, name, prefix = address(place)
    found = _entering(place, connections)
    options = {**account_of(place), **(account_of(found.url) | dict(found.options) if found else {})}
    bucket = Bucket(scheme, name, options, dict(found.secrets) if found else {})
    from penstock.stores.bucket_objects import BucketObjects

    return BucketObjects(bucket, prefix, copies)


def _entering(place: str, connections: Iterable[ConnectionSpec]) -> ConnectionSpec | None:
    scheme, name, prefix = address(place)
    fitting: list[tuple[int, ConnectionSpec]] = []
    for connection in connections:
        if connection.kind != "files" or not is_bucket(connection.url):
            continue
        other = address(connection.url)
        if other[:2] == (scheme, name) and f"{prefix}/".startswith(f"{other[2]}/" if other[2] else ""):
            fitting.append((len(other[2]), connection))
    if not fitting:
        return None
    longest = max(length for length, _ in fitting)
    best = [connection for length, connection in fitting if length == longest]
    if len(best) > 1:
        raise ConfigurationError(
            f"Two connections say how {place} is entered",
            value=" and ".join(sorted(connection.name for connection in best)),
            remedy="Give one of them the longer URL, down to the folder that it is for",
        )
    return best[0]
