"""Buckets of S3, Google Cloud Storage and Azure Blob: their one client, and its refusals in sentences.

Files of sources and the lake enter buckets through it, with the same credentials.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from obstore import exceptions
from obstore.store import AzureStore, GCSStore, S3Store

from penstock.errors import AlreadyExistsError, ConfigurationError, NotFoundError, TransientError
from penstock.model.buckets import Bucket

_PATIENCE: Any = {"max_retries": 5, "retry_timeout": timedelta(seconds=60)}
_ONCE: Any = {"max_retries": 0, "retry_timeout": timedelta(seconds=60)}
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AZURE_STORAGE_ENDPOINT")
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")
_REFUSED = re.compile(
    r"status code: 40[13]|credential|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|AuthenticationFailed"
    # Where no credentials are named, the role of the machine is asked for at these addresses.
    r"|ExpiredToken|169\.254\.169\.254|metadata\.google",
    re.IGNORECASE,
)


def opened(bucket: Bucket, *, once: bool = False) -> Any:
    """Return a client of a bucket.

    Args:
        bucket: The bucket.
        once: Send each request once; the others are tried again when the store does not answer.

    Raises:
        ValueError: An option does not fit. The errors of the client pass as they are; see ``sentences``.
    """
    options, secrets = bucket.options, bucket.secrets
    endpoint = options.get("endpoint")
    client: Any = {"timeout": "120s", "connect_timeout": "15s"}
    if _plain(endpoint):
        client["allow_http"] = True
    how: Any = {"client_options": client, "retry_config": _ONCE if once else _PATIENCE}
    anonymous: Any = {"skip_signature": True} if options.get("anonymous") else {}
    if bucket.scheme == "s3":
        config: Any = {**_s3(options, secrets), **anonymous}
        return S3Store(bucket.name, config=config, **how)
    if bucket.scheme == "gs":
        given = {
            "base_url": endpoint,
            "service_account_key": secrets.get("service_account_key"),
            "service_account_path": options.get("service_account_file"),
        }
        config = {**_filled(given), **anonymous}
        return GCSStore(bucket.name, config=config, **how)
    config = {**_azure(options, secrets), **anonymous}
    return AzureStore(bucket.name, config=config, **how)


def delta_options(bucket: Bucket) -> dict[str, str]:
    """Return what deltalake takes as ``storage_options`` to enter a bucket as ``opened`` does; holds secrets."""
    options, secrets = bucket.options, bucket.secrets
    endpoint = options.get("endpoint")
    # A manifest is created before each commit, which tells in time whether the store is there.
    found = {"timeout": "120s", "connect_timeout": "15s", "max_retries": "5", "retry_timeout": "60s"}
    if _plain(endpoint):
        found["allow_http"] = "true"
    if bucket.scheme == "s3":
        found |= {f"aws_{name}": value for name, value in _s3(options, secrets).items()}
        found["aws_conditional_put"] = "etag"
        if options.get("anonymous"):
            found["aws_skip_signature"] = "true"
    elif bucket.scheme == "gs":
        given = {
            "google_base_url": endpoint,
            "google_service_account_key": secrets.get("service_account_key"),
            "google_service_account_path": options.get("service_account_file"),
            "google_skip_signature": "true" if options.get("anonymous") else None,
        }
        found |= _filled(given)
    else:
        found |= {f"azure_storage_{name}": value for name, value in _azure(options, secrets).items()}
        if options.get("anonymous"):
            found["azure_skip_signature"] = "true"
    return found


@contextmanager
def sentences(what: str, *, written: bool = False) -> Iterator[None]:
    """Turn errors of the client into sentences; its own texts may hold headers and are not passed on.

    Args:
        what: The bucket or object, for messages.
        written: Whether it is written; else it is read.
    """
    try:
        yield
    except (FileNotFoundError, exceptions.NotFoundError):
        raise NotFoundError(f"{what} does not exist") from None
    except (exceptions.AlreadyExistsError, exceptions.PreconditionError, FileExistsError):
        raise AlreadyExistsError(
            "An object of this name exists already, and is never overwritten", value=what
        ) from None
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError, PermissionError):
        raise forbidden(what, written=written) from None
    except (exceptions.BaseError, OSError, ValueError) as error:
        if any(code in str(error) for code in _NO_BUCKET):
            raise NotFoundError(f"{what} does not exist") from None
        raise refused(error, what, written=written) from None


def refused(error: Exception, what: str, *, written: bool = False) -> ConfigurationError | TransientError:
    """Return the sentence for what a store did not do, from an error whose text is looked at and not passed on."""
    if _REFUSED.search(str(error)):
        return forbidden(what, written=written)
    return TransientError(
        f"The store of {what} does not answer as it should ({type(error).__name__})",
        remedy="Look at its name, endpoint and region, and whether it can be reached from here",
    )


def forbidden(what: str, *, written: bool = False) -> ConfigurationError:
    """Return the error for a bucket that does not let this user in."""
    return ConfigurationError(
        f"{what} may not be {'written' if written else 'read'} with these credentials",
        remedy="Name them in the connection's secrets, or in the environment as the store's own tools do",
    )


def _s3(options: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, str]:
    return _filled(
        {
            "endpoint": options.get("endpoint"),
            "region": options.get("region"),
            "access_key_id": options.get("access_key_id") or options.get("user"),
            "secret_access_key": secrets.get("secret_access_key") or secrets.get("secret") or secrets.get("password"),
            "session_token": secrets.get("session_token") or secrets.get("token"),
        }
    )


def _azure(options: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, str]:
    return _filled(
        {
            "endpoint": options.get("endpoint"),
            "account_name": options.get("account"),
            "account_key": secrets.get("account_key") or secrets.get("key"),
            "sas_key": secrets.get("sas_token"),
        }
    )


def _plain(endpoint: Any) -> bool:
    """Say whether the address of the store, in the options or else in the environment, asks for no TLS."""
    given = (endpoint,) if endpoint else (os.environ.get(name, "") for name in _ENDPOINTS)
    return any(str(each).startswith("http://") for each in given)


def _filled(given: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in given.items() if value}
