"""The graph of tables: what must be made before what."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from penstock.errors import ConfigurationError
from penstock.model.specs import Nested, PipelineSpec, SourceSpec, TransformSpec
from penstock.names import unknown


def graph(transforms: Sequence[TransformSpec], sources: Iterable[str]) -> tuple[TransformSpec, ...]:
    """Order transforms so that each comes after those that it reads; among equals the declared order stays.

    Args:
        transforms: With ``inputs`` filled in.
        sources: The names of the source tables, without ``raw_``.

    Raises:
        ConfigurationError: Two things make the same table, an input is no table of the pipeline, or tables need
            each other.
    """
    source_names = list(sources)
    makers = _makers(transforms, source_names)
    for transform in transforms:
        for table in transform.inputs:
            if table.lower() not in makers and table.lower() not in {name.lower() for name in source_names}:
                known = [*source_names, *(other.table for other in transforms if other is not transform)]
                raise unknown("table", table, known, where=f"read by {_called(transform)}")
    ordered: dict[str, TransformSpec] = {}
    for transform in transforms:
        _visit(transform, makers, ordered, [])
    return tuple(ordered.values())


def parent(name: str, sources: Iterable[SourceSpec]) -> SourceSpec | None:
    """Return the source to whose child tables a name belongs, as ``orders`` for ``orders__items``; None: to none."""
    found = [
        source
        for source in sources
        if source.nested is Nested.TABLES and name.lower().startswith(f"{source.table.lower()}__")
    ]
    return max(found, key=lambda source: len(source.table), default=None)


def made_by(spec: PipelineSpec) -> frozenset[str]:
    """Return the names of the tables that a pipeline makes, in lower case."""
    return frozenset(source.table.lower() for source in spec.sources) | {item.table.lower() for item in spec.transforms}


def read_by(
    transform: TransformSpec, names: Sequence[str], made: Collection[str], sources: Sequence[SourceSpec]
) -> TransformSpec:
    """Return a transform that reads these tables; in the place of a child table stands its source.

    Args:
        transform: The transform.
        names: The tables that it names.
        made: What ``made_by`` says of its pipeline.
        sources: The sources of its pipeline.
    """
    inputs: dict[str, None] = {}
    children = []
    for name in names:
        source = None if name.lower() in made else parent(name, sources)
        inputs[name if source is None else source.table] = None
        children += [] if source is None else [name]
    return replace(transform, inputs=tuple(inputs), children=tuple(children))


def upstream(table: str, transforms: Sequence[TransformSpec]) -> frozenset[str]:
    """Return the names of all tables that a table is made from, sources included, itself not."""
    makers = {transform.table.lower(): transform for transform in transforms}
    found: set[str] = set()
    waiting = [table]
    while waiting:
        maker = makers.get(waiting.pop().lower())
        for name in maker.inputs if maker else ():
            if name not in found:
                found.add(name)
                waiting.append(name)
    return frozenset(found)


def _makers(transforms: Sequence[TransformSpec], sources: Sequence[str]) -> dict[str, TransformSpec]:
    makers: dict[str, TransformSpec] = {}
    taken = {name.lower() for name in sources}
    for transform in transforms:
        key = transform.table.lower()
        if key in taken:
            raise ConfigurationError(
                f"{_called(transform)} makes a table {transform.table!r}, which is the name of a source",
                remedy="Give the transform another table name",
            )
        if key in makers:
            raise ConfigurationError(
                f"Two transforms make the table {transform.table!r}: {_called(makers[key])} and {_called(transform)}",
                remedy="Give one of them another table name",
            )
        makers[key] = transform
    return makers


def _visit(
    transform: TransformSpec, makers: dict[str, TransformSpec], ordered: dict[str, TransformSpec], path: list[str]
) -> None:
    if transform.table in ordered:
        return
    if transform.table in path:
        cycle = [*path[path.index(transform.table) :], transform.table]
        raise ConfigurationError(
            f"Tables need each other: {' → '.join(reversed(cycle))} ({_called(transform)})",
            remedy="Take one of these tables out of the query that closes the circle",
        )
    for table in transform.inputs:
        if table.lower() in makers:
            _visit(makers[table.lower()], makers, ordered, [*path, transform.table])
    ordered[transform.table] = transform


def _called(transform: TransformSpec) -> str:
    return transform.origin or f"transform {transform.table}"
