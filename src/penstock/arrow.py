"""Arrow, imported once something of it is asked for, not when a file names it.

``from penstock.arrow import pa`` stands for ``import pyarrow as pa``. Arrow imports numpy wherever that is installed;
both together take a seventh of a second, and most runs over files need nothing of them.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
else:
    from importlib import import_module

    class _Late:
        """Stands for a module; what was asked of it once is found without a detour."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, name: str) -> object:
            found = getattr(import_module(self._name), name)
            setattr(self, name, found)
            return found

    pa, pq = _Late("pyarrow"), _Late("pyarrow.parquet")

__all__ = ["at_hand", "pa", "pq"]


def at_hand() -> bool:
    """Say whether Arrow is imported already."""
    return "pyarrow" in sys.modules
