"""Making a project from a template that comes with the package."""

from __future__ import annotations

import os
import tempfile
from importlib.resources import as_file, files
from pathlib import Path
from shutil import copytree, ignore_patterns

from penstock.errors import ConfigurationError
from penstock.names import unknown
from penstock.values import dataclass

_NEXT = "NEXT"
"""A file of a template that is not copied: the sentence of what to do next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateReceipt:
    """A new project.

    Attributes:
        folder: Where it is.
        template: What it was made from.
        files: Its files, relative to the folder.
        next: What to do now.
    """

    folder: str
    template: str
    files: tuple[str, ...]
    next: str


def templates() -> tuple[str, ...]:
    """Return the names of the templates, sorted."""
    return tuple(sorted(item.name for item in _root().iterdir() if item.is_dir() and not item.name.startswith("_")))


def copy_template(name: str, folder: str) -> TemplateReceipt:
    """Copy a template into a folder that is empty or not there yet; all of it or nothing.

    Raises:
        ConfigurationError: There is no such template, or the folder is not empty or cannot be written.
    """
    if name not in templates():
        raise unknown("template", name, templates(), where="penstock init --template")
    target = Path(folder).expanduser().absolute()
    try:
        taken = sorted(each.name for each in target.iterdir()) if target.exists() else []
        if taken:
            raise ConfigurationError(
                f"The folder {target} is not empty",
                value=", ".join(taken),
                remedy="Name a folder that is not there yet",
            )
        with as_file(_root() / name) as source:
            copied = _copy(source, target)
            sentence = source / _NEXT
            following = (
                sentence.read_text(encoding="utf-8").strip() if sentence.is_file() else "cd {folder} && penstock plan"
            )
    except OSError as error:
        raise ConfigurationError(
            f"The project cannot be made in {target}: {error.strerror or error}", remedy="Name another folder"
        ) from error
    return TemplateReceipt(
        folder=str(target), template=name, files=copied, next=following.replace("{folder}", _typed(target))
    )


def _copy(source: Path, target: Path) -> tuple[str, ...]:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as beside:
        made = Path(beside, target.name)
        copytree(source, made, ignore=ignore_patterns("__pycache__", "*.pyc", _NEXT))
        if target.exists():
            # The folder stays, since a shell may stand in it.
            for part in made.iterdir():
                part.rename(target / part.name)
        else:
            made.rename(target)
    return tuple(sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()))


def _typed(target: Path) -> str:
    relative = os.path.relpath(target)
    shown = relative if len(relative) < len(str(target)) else str(target)
    return f"'{shown}'" if " " in shown else shown


def _root() -> Path:
    return files("penstock").joinpath("templates")  # type: ignore[return-value]
