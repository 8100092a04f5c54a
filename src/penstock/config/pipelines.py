"""Importing the pipelines that a project names."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from traceback import walk_tb
from types import ModuleType

from penstock.config.project import FILE, ProjectConfig
from penstock.errors import ConfigurationError, PenstockError
from penstock.model.capture import DATABASE_OF
from penstock.model.schedules import verify_after
from penstock.model.specs import PipelineSpec
from penstock.names import nearest, unknown
from penstock.plugins import BUILT_IN
from penstock.privacy.values import missing_key

_MARK = "__penstock_pipeline_module__"
_ONE_AT_A_TIME = RLock()
"""The modules and the import path belong to the process; runs in several threads take turns."""
_UNEXPECTED = re.compile(r"(\w+)(?:\.__init__)?\(\) got an unexpected keyword argument '(\w+)'")


def load_pipelines(config: ProjectConfig) -> dict[str, PipelineSpec]:
    """Import the project's pipelines, afresh at each call.

    Raises:
        ConfigurationError: A module or attribute is not there, is no pipeline, or fails while it is imported; the
            sentence names file and line.
    """
    found: dict[str, PipelineSpec] = {}
    with _ONE_AT_A_TIME, _importing(config.root):
        for place in config.pipelines:
            spec = _pipeline(config, place)
            _verify_connections(spec, config)
            _verify_keys(spec, config)
            if spec.name in found:
                raise ConfigurationError(f"Two pipelines of {config.root / FILE} have the same name", value=spec.name)
            found[spec.name] = spec
    verify_after(found.values())
    return found


def _verify_connections(spec: PipelineSpec, config: ProjectConfig) -> None:
    """Refuse a source whose connection is not there or is of another kind, before anything is read."""
    for schema in spec.schemas:
        if schema.connection not in config.connections:
            raise unknown("connection", schema.connection, config.connections, where=f"pipeline {spec.name!r}")
    for source in spec.sources:
        where = f"source {source.table!r} of pipeline {spec.name!r}"
        if source.stream is not None and source.stream.registry is not None:
            _verify_registry(source.stream.registry, config, where)
        if source.connection is None:
            continue
        if source.connection not in config.connections:
            raise unknown("connection", source.connection, config.connections, where=where)
        kind = config.connections[source.connection].kind
        others = ("files", "rest", "python", *BUILT_IN["stream"])
        own = DATABASE_OF.get(source.kind, source.kind)
        fits = kind not in others if source.kind == "sql" else kind == own
        if (kind in BUILT_IN["source"] or kind in BUILT_IN["stream"]) and not fits:
            raise ConfigurationError(
                f"Connection {source.connection!r} cannot be read by sources.{source.kind} ({where})",
                value=kind,
                valid="a database" if source.kind == "sql" else f"a connection of kind {source.kind}",
            )


def _verify_registry(name: str, config: ProjectConfig, where: str) -> None:
    if name not in config.connections:
        raise unknown("connection", name, config.connections, where=f"registry of {where}")
    kind = config.connections[name].kind
    if kind != "rest":
        raise ConfigurationError(
            f"Connection {name!r} is no schema registry ({where})",
            value=kind,
            valid="one with an https:// URL",
        )


def _verify_keys(spec: PipelineSpec, config: ProjectConfig) -> None:
    """Refuse personal columns without a key, before anything is read."""
    for source in spec.sources:
        if config.keys is None and {"tokenise", "encrypt"} & set(source.personal.values()):
            raise missing_key(f"To protect the personal columns of source {source.table!r}")


def choose_pipeline(pipelines: Mapping[str, PipelineSpec], name: str | None = None) -> PipelineSpec:
    """Return the pipeline of that name; without a name the only one.

    Raises:
        ConfigurationError: There is none of that name, or the choice is not clear.
    """
    if name is not None:
        if name not in pipelines:
            raise unknown("pipeline", name, pipelines, where=f"pipelines in {FILE}")
        return pipelines[name]
    if len(pipelines) == 1:
        return next(iter(pipelines.values()))
    if not pipelines:
        raise ConfigurationError(
            f"{FILE} names no pipeline", remedy='Add pipelines = ["module:attribute"] to its section [project]'
        )
    raise ConfigurationError("There are several pipelines", valid=sorted(pipelines), remedy="Name one of them")


@contextmanager
def _importing(root: Path) -> Iterator[None]:
    """Put the project's folder on the import path, with none of the modules that an earlier load left behind."""
    for name in [name for name, module in list(sys.modules.items()) if hasattr(module, _MARK)]:
        del sys.modules[name]
    importlib.invalidate_caches()
    before, bytecode = set(sys.modules), sys.dont_write_bytecode
    sys.path.insert(0, str(root))
    # Bytecode is told from its source by the second; a pipeline edited twice in one would not be seen.
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = bytecode
        sys.path.remove(str(root))
        for name in set(sys.modules) - before:
            if _is_below(sys.modules[name], root):
                setattr(sys.modules[name], _MARK, True)


def _pipeline(config: ProjectConfig, place: str) -> PipelineSpec:
    where = f"pipelines in {config.root / FILE}"
    module_name, colon, attribute = place.partition(":")
    if not colon or not attribute or not all(part.isidentifier() for part in module_name.split(".")):
        raise ConfigurationError(f"A pipeline is not named ({where})", value=place, valid="module:attribute")
    module = _import(config.root, module_name, where)
    names = [name for name, value in vars(module).items() if _spec(value) is not None]
    found = getattr(module, attribute, None)
    if found is None:
        raise unknown("pipeline", attribute, names, where=f"module {module_name}, {where}")
    spec = _spec(found)
    if spec is None:
        raise ConfigurationError(
            f"{place} is a {type(found).__name__}, no pipeline ({where})", valid=names or "penstock.Pipeline(…)"
        )
    return spec


def _spec(value: object) -> PipelineSpec | None:
    found = value if isinstance(value, PipelineSpec) else getattr(value, "spec", None)
    return found if isinstance(found, PipelineSpec) else None


def _import(root: Path, name: str, where: str) -> ModuleType:
    top = name.partition(".")[0]
    own = (root / top).is_dir() or (root / f"{top}.py").is_file()
    loaded = sys.modules.get(top)
    if own and (top in sys.stdlib_module_names or (loaded is not None and not _is_below(loaded, root))):
        raise ConfigurationError(
            f"The module {top} of the project has the name of another that is loaded already ({where})",
            remedy=f"Rename {root / top}",
        )
    try:
        return importlib.import_module(name)
    except PenstockError as error:
        line = _line(error, root)
        if line:
            error.what = f"{error.what.rstrip('.')} ({line})"
            error.args = (error.sentence(),)
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            modules = [".".join(path.relative_to(root).with_suffix("").parts) for path in _sources(root, name)]
            raise unknown("module", name, modules, where=where) from None
        raise _broken(error, root, name, where) from error
    except (Exception, SystemExit) as error:
        raise _broken(error, root, name, where) from error


def _broken(error: BaseException, root: Path, name: str, where: str) -> ConfigurationError:
    line = _line(error, root)
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    return ConfigurationError(
        f"The module {name} cannot be imported: {type(error).__name__}: {said[:300]}"
        + (f" ({line})" if line else f" ({where})"),
        remedy=_guess(error) or "Mend it; --debug shows the traceback",
    )


def _guess(error: BaseException) -> str | None:
    """Return the question whether another name was meant, where an error is about a name that is not there."""
    name, known = getattr(error, "name", None), []
    if isinstance(error, AttributeError):
        known = dir(error.obj)
    elif isinstance(error, ImportError) and name in sys.modules:
        # Python 3.11 does not say which name of the module was asked for but in the sentence.
        name, known = (re.findall(r"'(\w+)'", str(error)) or [""])[0], dir(sys.modules[name])
    elif isinstance(error, TypeError) and (said := _UNEXPECTED.search(str(error))):
        name, known = said[2], _parameters(said[1], error)
    found = nearest(name, [each for each in known if not each.startswith("_")]) if name else None
    return f"Did you mean {found!r}?" if found else None


def _parameters(function: str, error: BaseException) -> list[str]:
    """Return the parameters of whatever has that name among what the failing line could see."""
    *_, (frame, _) = walk_tb(error.__traceback__)
    seen = [*frame.f_globals.values(), *frame.f_locals.values()]
    inside = [getattr(each, function, None) for each in seen if isinstance(each, ModuleType | type)]
    calls = [each for each in (*inside, *seen) if callable(each) and getattr(each, "__name__", "") == function]
    return [parameter for call in calls for parameter in inspect.signature(call).parameters]


def _line(error: BaseException, root: Path) -> str:
    """Return the last line of the project's own code that led to an error, as ``pipeline.py, line 12``."""
    if isinstance(error, SyntaxError) and error.filename:
        path, number = Path(error.filename), error.lineno
    else:
        frames = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
        own = [(Path(file), line) for file, line in frames if root in Path(file).parents]
        if not own:
            return ""
        path, number = own[-1]
    return f"{path.relative_to(root) if root in path.parents else path}, line {number}"


def _sources(root: Path, name: str) -> list[Path]:
    folder = root.joinpath(*name.split(".")[:-1])
    return sorted([*root.glob("*.py"), *root.glob("*/*.py"), *(folder.glob("*.py") if folder != root else ())])[:200]


def _is_below(module: ModuleType, root: Path) -> bool:
    file = getattr(module, "__file__", None)
    places = [file] if file else list(getattr(module, "__path__", []))
    return any(root in Path(place).resolve().parents for place in places) and not any(
        "site-packages" in place for place in places
    )
