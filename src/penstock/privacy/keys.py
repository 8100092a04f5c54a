"""Keys: from one secret of a project, by version, to a key for tokens and one for encryption.

A version is what a token or a ciphertext names its key by. Whoever takes a version away makes what was encrypted under
it unreadable for good; a key per subject can be one more kind of version.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from collections.abc import Mapping
from dataclasses import field

from penstock.errors import ConfigurationError
from penstock.values import dataclass

VARIABLE = "PENSTOCK_PRIVACY_KEY"
"""The variable that holds the key where there is no project."""
MAKE = "openssl rand -base64 32"
_LEAST_BYTES = 32


@dataclass(frozen=True, slots=True)
class Keys:
    """The secrets of a project; their values are in no ``repr``.

    Attributes:
        version: The version under which new values are protected.
        secrets: Version to secret.
    """

    version: int
    secrets: Mapping[int, bytes] = field(repr=False, compare=False)

    def token_key(self, version: int | None = None) -> bytes:
        """Return the key of tokens: 32 bytes."""
        return hmac.digest(self._secret(version), b"penstock tokens", "sha256")

    def encryption_key(self, version: int | None = None) -> bytes:
        """Return the key of encryption: 64 bytes, for AES-256-SIV."""
        return hmac.digest(self._secret(version), b"penstock encryption", "sha512")

    @property
    def name(self) -> str:
        """What tells this key from others and says nothing of it: version and eight hex digits, ``1-3fa9c2d1``."""
        return f"{self.version}-{hmac.digest(self._secret(None), b'penstock name of key', 'sha256').hex()[:8]}"

    def _secret(self, version: int | None) -> bytes:
        wanted = self.version if version is None else version
        if wanted not in self.secrets:
            raise ConfigurationError(
                f"There is no privacy key of version {wanted}",
                valid=[str(known) for known in sorted(self.secrets)],
                remedy='Name it in [privacy]: former = { "1" = "${NAME_OF_ITS_VARIABLE}" }',
            )
        return self.secrets[wanted]


def read_keys(key: str, *, version: int = 1, former: Mapping[str, str] | None = None, where: str) -> Keys:
    """Return the keys that texts of base64 hold.

    Args:
        key: The key of today.
        version: Its version.
        former: Earlier version to its key, to decrypt by.
        where: Where they were written, for messages.

    Raises:
        ConfigurationError: A text is no base64 of 32 bytes or more, or a version is none; no text is shown.
    """
    secrets = {version: _decoded(key, f"privacy key ({where})")}
    for name, text in (former or {}).items():
        if not name.isdecimal() or not int(name) or int(name) == version:
            raise ConfigurationError(
                f"former of {where} has a version that cannot be",
                value=name,
                valid=f"a whole number from 1 other than {version}, the version of key",
            )
        secrets[int(name)] = _decoded(text, f"former privacy key {name} ({where})")
    return Keys(version, secrets)


def environment_keys() -> Keys | None:
    """Return the key that ``PENSTOCK_PRIVACY_KEY`` holds, for whoever works without a project; None without it."""
    text = os.environ.get(VARIABLE)
    return None if text is None else read_keys(text, where=f"the variable {VARIABLE}")


def _decoded(text: str, where: str) -> bytes:
    try:
        found = base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) < _LEAST_BYTES:
        raise ConfigurationError(
            f"The {where} is too short or no base64",
            valid="32 random bytes or more as base64",
            remedy=f"Make one: {MAKE}",
        )
    return found
