"""The code of transforms, as it was when it made a version: ``_code/{fingerprint}.txt`` of the staging lake.

Written before the version that it makes, and never again: a fingerprint means one code.
"""

from __future__ import annotations

from contextlib import suppress

from penstock.errors import AlreadyExistsError, NotFoundError
from penstock.stores.port import Objects

FOLDER = "_code/"


def keep(objects: Objects, fingerprint: str, text: str) -> None:
    """Keep the text of code under its fingerprint; quiet if it is there."""
    with suppress(AlreadyExistsError):
        objects.create(_path(fingerprint), text.encode(errors="surrogatepass"))


def text(objects: Objects, fingerprint: str) -> str | None:
    """Return the text of code; None if it was not kept, as before versions kept theirs."""
    try:
        return objects.get(_path(fingerprint)).decode(errors="surrogatepass")
    except NotFoundError:
        return None


def _path(fingerprint: str) -> str:
    return f"{FOLDER}{fingerprint}.txt"
