"""Modules that are imported when something of them is first asked for, not when a file names them.

Arrow, with the numpy that it brings, takes a seventh of a second to import, and most runs over small files need nothing
of it. A file that does names it so:

    if TYPE_CHECKING:
        import pyarrow as pa
    else:
        pa = late("pyarrow")
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any


class _Late:
    """Stands for a module; what was asked of it once is found without a detour."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __getattr__(self, name: str) -> Any:
        found = getattr(import_module(self.__name__), name)
        setattr(self, name, found)
        return found


def late(name: str) -> Any:
    """Return what stands for a module until something of it is asked for."""
    return _Late(name)


def imported(name: str) -> bool:
    """Say whether a module is imported already, so that it costs nothing to ask something of it."""
    return name in sys.modules
