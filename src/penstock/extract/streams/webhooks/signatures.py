"""Signatures of webhooks: who sent this, and when. Compared in constant time, by secrets that may be changed over.

* ``standard``: Standard Webhooks (standardwebhooks.com): ``webhook-id``, ``webhook-timestamp``, ``webhook-signature``.
* ``stripe``: ``Stripe-Signature: t=…,v1=…`` over time and body.
* ``github``: ``X-Hub-Signature-256: sha256=…`` over the body, with ``X-GitHub-Delivery`` as id; it says no time.
* ``none``: nobody signs; only for what can be reached by nobody else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence

from penstock.values import dataclass

SCHEMES = ("standard", "stripe", "github", "none")
_LONGEST_ID = 256


class RefusedError(Exception):
    """A request that is not taken.

    Args:
        status: The HTTP status to answer with.
        why: A sentence for the sender; it holds nothing of the body, and no secret.
    """

    def __init__(self, status: int, why: str) -> None:
        self.status = status
        self.why = why
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class _Signed:
    """What a request says of itself.

    Attributes:
        id: What names the event.
        at: When it was sent, seconds since 1970; None where the scheme does not say.
        signed: The bytes that are signed.
        signatures: The signatures, any of which may be by any secret.
    """

    id: str
    at: float | None
    signed: bytes
    signatures: Sequence[bytes]


def identify(scheme: str, headers: Mapping[str, str], body: bytes, secrets: Sequence[bytes], window: Window) -> str:
    """Return the id of the event of a request.

    Args:
        scheme: One of ``SCHEMES``.
        headers: Of the request, names in lower case.
        body: Of the request.
        secrets: Any of which may have signed it; more than one while they are changed over.
        window: How far the sender's clock may be from ours.

    Raises:
        RefusedError: It is not signed, by another secret, or at another time.
    """
    said = _READERS[scheme](headers, body)
    if not 0 < len(said.id) <= _LONGEST_ID or not said.id.isascii() or not said.id.isprintable() or " " in said.id:
        raise RefusedError(400, f"The id of the event must be 1 to {_LONGEST_ID} printable ASCII characters")
    if scheme == "none":
        return said.id
    # Each secret is tried with each signature, so that the time taken tells nothing.
    own = [hmac.digest(secret, said.signed, "sha256") for secret in secrets]
    right = [hmac.compare_digest(one, given) for one in own for given in said.signatures]
    if True not in right:
        raise RefusedError(401, "The signature is not right")
    if said.at is not None and abs(window.now - said.at) > window.seconds:
        raise RefusedError(401, f"The event was signed more than {window.seconds:g} s ago or ahead of our clock")
    return said.id


@dataclass(frozen=True, slots=True)
class Window:
    """How far the sender's clock may be from ours.

    Attributes:
        now: Our clock, seconds since 1970.
        seconds: So far, to both sides.
    """

    now: float
    seconds: float


def secret_bytes(scheme: str, secret: str) -> bytes:
    """Return the key that a secret stands for.

    Raises:
        ValueError: It is none of this scheme.
    """
    if scheme == "standard":
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    return secret.encode()


def _standard(headers: Mapping[str, str], body: bytes) -> _Signed:
    id_, at = _header(headers, "webhook-id"), _header(headers, "webhook-timestamp")
    given = [each.partition(",") for each in _header(headers, "webhook-signature").split()]
    found = [_decoded(base64.b64decode, value) for version, _, value in given if version == "v1"]
    return _Signed(id_, _seconds(at), b"%b.%b.%b" % (id_.encode(), at.encode(), body), found)


def _stripe(headers: Mapping[str, str], body: bytes) -> _Signed:
    parts = [each.partition("=") for each in _header(headers, "stripe-signature").split(",")]
    at = next((value for name, _, value in parts if name.strip() == "t"), "")
    found = [_decoded(bytes.fromhex, value) for name, _, value in parts if name.strip() == "v1"]
    # It names no id; the event's own stands in the body, so equal bodies are one event.
    return _Signed(hashlib.sha256(body).hexdigest(), _seconds(at), b"%b.%b" % (at.encode(), body), found)


def _github(headers: Mapping[str, str], body: bytes) -> _Signed:
    given = _header(headers, "x-hub-signature-256").removeprefix("sha256=")
    return _Signed(_header(headers, "x-github-delivery"), None, body, [_decoded(bytes.fromhex, given)])


def _unsigned(headers: Mapping[str, str], body: bytes) -> _Signed:
    given = headers.get("webhook-id") or headers.get("idempotency-key") or headers.get("x-request-id")
    return _Signed(given or hashlib.sha256(body).hexdigest(), None, b"", ())


_READERS: Mapping[str, Callable[[Mapping[str, str], bytes], _Signed]] = {
    "standard": _standard,
    "stripe": _stripe,
    "github": _github,
    "none": _unsigned,
}


def _header(headers: Mapping[str, str], name: str) -> str:
    found = headers.get(name, "")
    if not found:
        raise RefusedError(401, f"The header {name} is missing")
    return found


def _seconds(text: str) -> float:
    if not text.isdigit() or len(text) > 15:
        raise RefusedError(401, "The time of the signature is no number of seconds")
    return float(text)


def _decoded(how: Callable[[str], bytes], text: str) -> bytes:
    try:
        return how(text)
    except (ValueError, binascii.Error):
        return b""
