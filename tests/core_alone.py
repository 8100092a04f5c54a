"""A plugin of pytest (``-p core_alone``): of what is installed, only what Penstock itself needs can be imported."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import metadata
from importlib.machinery import ModuleSpec

from packaging.requirements import Requirement

ROOTS = ("penstock", "pytest", "packaging")


def needed(roots: Sequence[str]) -> set[str]:
    """Return the names of distributions and of all that they need, without extras."""
    found: set[str] = set()
    looking = list(roots)
    while looking:
        name = _normal(looking.pop())
        if name in found:
            continue
        found.add(name)
        try:
            wanted = [Requirement(line) for line in metadata.requires(name) or ()]
        except metadata.PackageNotFoundError:
            continue  # for another system
        looking += [each.name for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]
    return found


def _normal(name: str) -> str:
    return name.lower().replace("_", "-")


class NotInstalled:
    """Finds nothing, and says so, for modules of distributions that are not needed."""

    def __init__(self) -> None:
        known = needed(ROOTS)
        brought = metadata.packages_distributions().items()
        self.modules = {module for module, names in brought if known.isdisjoint(map(_normal, names))}

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        """Refuse a module as Python does where it is not there."""
        if name.partition(".")[0] in self.modules:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def pytest_sessionstart() -> None:
    """Begin when the fixtures, which may need more, are there."""
    absent = NotInstalled()
    sys.meta_path.insert(0, absent)
    for name in [name for name in sys.modules if name.partition(".")[0] in absent.modules]:
        del sys.modules[name]
