"""Tokens and ciphertexts of single values, and the way back from a ciphertext for who holds the key.

A token is ``tok{version}-`` and 32 hex digits: the first half of HMAC-SHA-256. A ciphertext is ``enc{version}-`` and
base64 (of URLs): AES-256-SIV, by which equal values are equal ciphertexts, and a row that is read again is known again.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable
from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import UUID

from penstock.errors import ConfigurationError, DataError, MissingExtraError
from penstock.privacy.keys import MAKE, Keys

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

Protect = Callable[[bytes], str]

TOKEN, CIPHERTEXT = "tok", "enc"
_BLOCK = 64
_DIGITS = 32
_TEXT, _BYTES = b"t", b"b"
_SEALED = re.compile(rf"{CIPHERTEXT}(\d{{1,9}})-([A-Za-z0-9_-]+=*)")


def tokeniser(keys: Keys) -> Protect:
    """Return the function from the bytes of a value to its token."""
    # HMAC by its two halves: copies of a begun hash are three times as fast as a call of hmac for each value.
    padded = keys.token_key().ljust(_BLOCK, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))
    prefix = f"{TOKEN}{keys.version}-"

    def token(value: bytes) -> str:
        first, second = inner.copy(), outer.copy()
        first.update(value)
        second.update(first.digest())
        return prefix + second.hexdigest()[:_DIGITS]

    return token


def token_of(value: object, keys: Keys | None) -> str:
    """Return the token of a single value: of a text, bytes, a whole number, a truth value, a date or a UUID.

    Raises:
        ConfigurationError: There is no key, or the value is of another type; it is not shown.
    """
    if keys is None:
        raise missing_key("To make a token")
    if isinstance(value, bytes):
        return tokeniser(keys)(value)
    if isinstance(value, bool):
        return tokeniser(keys)(b"true" if value else b"false")
    if isinstance(value, str | int | UUID) or type(value) is date:
        return tokeniser(keys)(str(value).encode())
    raise ConfigurationError(
        f"A {type(value).__name__} is not made a token of by itself",
        valid="str, bytes, int, bool, date or UUID",
        remedy="Give its canonical text, as the documentation of personal data says it",
    )


def encrypter(keys: Keys, *, of_bytes: bool) -> Protect:
    """Return the function from the bytes of a value to its ciphertext.

    Args:
        keys: The keys.
        of_bytes: The values were bytes at the source, else texts.

    Raises:
        MissingExtraError: The library is not installed.
    """
    cipher = _cipher(keys, keys.version)
    prefix, kind = f"{CIPHERTEXT}{keys.version}-", _BYTES if of_bytes else _TEXT

    def sealed(value: bytes) -> str:
        return prefix + base64.urlsafe_b64encode(cipher.encrypt(kind + value, None)).decode()

    return sealed


def decrypt(values: Iterable[Any], keys: Keys | None) -> list[str | bytes | None]:
    """Return what was encrypted: the text of each value as it stands in ``privacy.canonical``, or its bytes.

    Args:
        values: Ciphertexts as a table holds them: a list, a column of a DataFrame, an Arrow array; None stays None.
        keys: The keys of the project; each version that occurs is needed.

    Raises:
        ConfigurationError: There is no key, or not of a version that occurs.
        DataError: A value is no ciphertext, or was made under another key or changed; it is not shown.
        MissingExtraError: The library is not installed.
    """
    if keys is None:
        raise missing_key("To decrypt")
    ciphers: dict[int, AESSIV] = {}
    found: dict[str, str | bytes] = {}

    def plain(place: int, value: str) -> str | bytes:
        match = _SEALED.fullmatch(value)
        if match is None:
            raise DataError(
                f"Value {place} is no ciphertext", valid=f"{CIPHERTEXT}1-… as a column marked encrypt holds"
            )
        version = int(match[1])
        if version not in ciphers:
            ciphers[version] = _cipher(keys, version)
        return _opened(ciphers[version], match[2], f"Value {place} (key version {version})")

    opened: list[str | bytes | None] = []
    for place, each in enumerate(values, start=1):
        value = each.as_py() if hasattr(each, "as_py") else each
        if value is not None and value not in found:
            found[value] = plain(place, value)
        opened.append(None if value is None else found[value])
    return opened


def missing_key(what: str) -> ConfigurationError:
    """Return the error for a key that is needed and not named.

    Args:
        what: What needs it, the beginning of a sentence: ``To encrypt columns of people``.
    """
    return ConfigurationError(
        f"{what}, a key is needed, and the project names none",
        remedy=f'Add [privacy] with key = "${{NAME}}" to penstock.toml and set the variable NAME to what {MAKE} prints',
    )


def _opened(cipher: AESSIV, text: str, where: str) -> str | bytes:
    from cryptography.exceptions import InvalidTag

    try:
        found = cipher.decrypt(base64.urlsafe_b64decode(text), None)
    except (InvalidTag, ValueError):
        found = b""
    if found[:1] == _TEXT:
        return found[1:].decode()
    if found[:1] == _BYTES:
        return found[1:]
    raise DataError(f"{where} was encrypted under another key, or was changed since", remedy="Use the key of that time")


def _cipher(keys: Keys, version: int) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV
    except ImportError:
        raise MissingExtraError("Encryption of personal columns", "privacy") from None
    return AESSIV(keys.encryption_key(version))
