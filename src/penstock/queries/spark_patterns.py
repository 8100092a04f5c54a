"""Regular expressions that mean the same to RE2 and to Java, the one that Spark has."""

from __future__ import annotations

import re

_ITEM = re.compile(
    r"""(?P<literal>[A-Za-z0-9 _\-@,:;=!"'#%&/<>~`])
    |(?P<escaped>\\[.^$*+?()\[\]{}|\\/\-])
    |(?P<digit>\\[dD])
    |(?P<set>\[\^?(?:[A-Za-z0-9](?:-[A-Za-z0-9])?|[ _.@,:;=!"'%+/*?()$]|\\[.\-\]\\\[^/dD])+-?\])
    |(?P<open>\((?:\?:)?)
    |(?P<close>\))
    |(?P<either>\|)
    |(?P<many>(?:[*+?]|\{\d{1,3}(?:,\d{0,3})?\})\??)""",
    re.VERBOSE,
)
"""What both read alike, over texts in which a character is a code point."""


def same_in_java(pattern: str) -> str | None:
    r"""Return a pattern that Java matches from beginning to end as RE2 does the given one, or None if nobody knows.

    Left out is what differs: ``.``, ``\s``, ``\w`` and ``$`` beside line ends, flags, classes by name. So is what takes
    Java long, a repetition within a repetition: RE2 is linear.
    """
    place, depth, repeats, before = 0, [False], False, ""
    while place < len(pattern):
        found = _ITEM.match(pattern, place)
        if found is None:
            return None
        kind = found.lastgroup or ""
        if kind == "many":
            if before not in ("literal", "escaped", "digit", "set", "close") or (before == "close" and repeats):
                return None
            depth[-1] = True
        elif kind == "open":
            depth.append(False)
        elif kind == "close":
            if len(depth) == 1:
                return None
            # Alternatives within a repetition may be tried in as many ways as a repetition.
            repeats = depth.pop()
            depth[-1] = depth[-1] or repeats
        elif kind == "either":
            depth[-1] = True
        before, place = kind, found.end()
    return rf"\A(?:{pattern})\z" if len(depth) == 1 else None
