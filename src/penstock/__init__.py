"""Penstock: from source systems, through checks, to promoted releases and training sets.

Importing this package does nothing; a name is loaded when it is first used.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock import checks as checks
    from penstock import sources as sources
    from penstock import windows as windows
    from penstock.declare import Pipeline as Pipeline
    from penstock.declare import feature as feature
    from penstock.declare import scoring as scoring
    from penstock.declare import split_by as split_by
    from penstock.declare import sql as sql
    from penstock.declare import training_set as training_set
    from penstock.declare import transform as transform
    from penstock.errors import PenstockError as PenstockError
    from penstock.model.interval import Interval as Interval
    from penstock.project import Project as Project
    from penstock.project import connect as connect
    from penstock.project import ingest as ingest

__version__ = "0.1.0"

_PUBLIC = {
    "Interval": "penstock.model.interval",
    "PenstockError": "penstock.errors",
    "Pipeline": "penstock.declare",
    "Project": "penstock.project",
    "checks": "penstock.checks",
    "connect": "penstock.project",
    "feature": "penstock.declare",
    "ingest": "penstock.project",
    "scoring": "penstock.declare",
    "sources": "penstock.sources",
    "split_by": "penstock.declare",
    "sql": "penstock.declare",
    "training_set": "penstock.declare",
    "transform": "penstock.declare",
    "windows": "penstock.windows",
}

__all__ = [*_PUBLIC]  # noqa: PLE0604 - the keys are strings


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'penstock' has no attribute {name!r}")
    module = import_module(_PUBLIC[name])
    value = module if name in ("checks", "sources", "windows") else getattr(module, name)
    globals()[name] = value
    return value


class _Package(ModuleType):
    """This package: what is public keeps its meaning once a subpackage of the same name (``transform``) is loaded."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not isinstance(value, ModuleType) or _PUBLIC.get(name, f"penstock.{name}") == f"penstock.{name}":
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return sorted([*_PUBLIC, "__version__"])
