"""Globs over names that lie on no disk: keys of stores, members of archives. They mean what they mean in a shell."""

from __future__ import annotations

import re
from collections.abc import Callable

_MAGIC = re.compile(r"[*?\[]")


def is_glob(pattern: str) -> bool:
    """Say whether a text holds a wildcard."""
    return _MAGIC.search(pattern) is not None


def folder_of(pattern: str) -> str:
    """Return the deepest folder that all names of a glob lie below; empty for none."""
    found = _MAGIC.search(pattern)
    return pattern[: found.start() if found else len(pattern)].rpartition("/")[0]


def matcher(pattern: str) -> Callable[[str], bool]:
    """Return a test of names: ``*`` and ``?`` stay within a folder, ``**`` goes through all; no hidden ones."""
    steps = [_step(step) for step in pattern.split("/")]
    text = ""
    for place, step in enumerate(pattern.split("/")):
        last = place == len(steps) - 1
        if step == "**":
            text += r"(?:[^/.][^/]*/)*" + (r"[^/.][^/]*" if last else "")
        else:
            text += steps[place] + ("" if last else "/")
    found = re.compile(text, re.DOTALL)
    return lambda name: found.fullmatch(name) is not None


def _step(step: str) -> str:
    text = "" if step.startswith(".") else r"(?!\.)"
    place = 0
    while place < len(step):
        letter = step[place]
        end = step.find("]", place + 2) if letter == "[" else -1
        if letter == "*":
            text += "[^/]*"
        elif letter == "?":
            text += "[^/]"
        elif end > 0:
            inside = step[place + 1 : end].replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
            text += f"(?!/)[{'^' + inside[1:] if inside.startswith('!') else inside}]"
            place = end
        else:
            text += re.escape(letter)
        place += 1
    return text
