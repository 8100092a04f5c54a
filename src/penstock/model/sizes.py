"""Sizes of memory and files as people write them: ``512MiB``, ``2GB``, or a number of bytes."""

from __future__ import annotations

import re

from penstock.errors import ConfigurationError

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?\s*", re.IGNORECASE)


def parse_size(given: int | str, where: str, least: int = 0) -> int:
    """Return a size in bytes.

    Args:
        given: As ``512MiB``, ``2GB``, or a number of bytes.
        where: What it is the size of, as the beginning of a sentence.
        least: The smallest that is of use, in bytes.

    Raises:
        ConfigurationError: It is no size, or too small.
    """
    match = _SIZE.fullmatch(str(given))
    if match is None:
        raise ConfigurationError(
            f"{where} is not a size", value=str(given), valid="as 512MiB, 2GB or a number of bytes"
        )
    number, prefix, binary = match.groups()
    power = " KMGT".index(prefix.upper() or " ")
    size = int(float(number) * (1024 if binary else 1000) ** power)
    if size < least:
        valid = f"{least // 2**20}MiB or more"
        raise ConfigurationError(f"{where} is too small to work with", value=str(given), valid=valid)
    return size
