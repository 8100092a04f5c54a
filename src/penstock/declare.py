"""Pipelines as values: plain calls and decorators that become specs, and nothing more."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from penstock import checks as _checks
from penstock.errors import ConfigurationError
from penstock.model.declared import verify
from penstock.model.durations import parse_duration
from penstock.model.interval import midnight, parse_moment
from penstock.model.schedules import verify_schedule
from penstock.model.scoring import Scoring
from penstock.model.specs import (
    DatasetSpec,
    FeatureSpec,
    PipelineSpec,
    SchemaSpec,
    SourceSpec,
    SplitSpec,
    TransformSpec,
)
from penstock.model.windows import WindowedSpec, WindowSpec
from penstock.names import check_table_name, unknown


class Pipeline:
    """A pipeline: what is read, checked, transformed, promoted and handed to machine learning.

    Args:
        name: The pipeline.
        sources: What is read; see ``penstock.sources``.
        checks: Table to its checks; see ``penstock.checks``. A source's name means its new raw rows.
        transforms: SQL (``sql("delays.sql")``), functions, whose parameter names are the tables they read, and windows
            over streams (``windows.tumbling(…)``).
        datasets: Training sets; see ``training_set``.
        profiled: Tables of which each load or version keeps its whole profile, by which ``penstock drift`` compares
            them without reading data again.
        promote: The transformed tables that a release holds.
        schedule: When ``penstock serve`` runs it: ``@hourly``, ``@daily``, ``@weekly``, ``@monthly``, ``every 15m``, or
            five fields of cron as ``30 6 * * MON-FRI``. With a fixed length it says the length of one interval too,
            and a run is due once its interval has ended.
        start: The first moment that intervals cover.
        end: The moment after the last; None: now.
        approve: ``manual`` or ``automatic``.
        timezone: Whose clock the schedule means, as ``Europe/Berlin``; intervals are those of UTC.
        delay: How much later a run begins, as ``6h``: once the source has all of the interval.
        catch_up: What becomes of due times that no scheduler was there for: ``all`` are covered by one run,
            the ``latest`` is run and those before are skipped, or ``none`` is run.
        after: The pipelines whose runs of the same or the covering time must have succeeded before; without a
            schedule it runs whenever the first of them has.
        timeout: How long a run of the schedule may take, as ``2h``.
    """

    def __init__(  # noqa: PLR0913 - the one call by which a user says everything
        self,
        name: str,
        *,
        sources: Sequence[SourceSpec | SchemaSpec] = (),
        checks: Mapping[str, Sequence[Any]] | None = None,
        transforms: Sequence[TransformSpec | WindowSpec | Callable[..., Any]] = (),
        datasets: Sequence[DatasetSpec] = (),
        profiled: Sequence[str] = (),
        promote: Sequence[str] = (),
        schedule: str | None = None,
        start: str | date | None = None,
        end: str | date | None = None,
        approve: str = "manual",
        timezone: str = "UTC",
        delay: str | timedelta = timedelta(0),
        catch_up: str = "all",
        after: str | Sequence[str] = (),
        timeout: str | timedelta | None = None,
    ) -> None:
        check_table_name(name, where="The name of a pipeline")
        if approve not in ("manual", "automatic"):
            raise ConfigurationError(
                f"approve of pipeline {name!r} is not known", value=approve, valid=("manual", "automatic")
            )
        folder = _callers_folder()
        self.spec = PipelineSpec(
            name=name,
            sources=tuple(item for item in sources if isinstance(item, SourceSpec)),
            schemas=tuple(item for item in sources if isinstance(item, SchemaSpec)),
            checks={
                table: tuple(_checks.as_check(item) for item in listed) for table, listed in (checks or {}).items()
            },
            transforms=tuple(
                _windowed(item, sources, transforms) if isinstance(item, WindowSpec) else _transform(item, folder)
                for item in transforms
            ),
            datasets=tuple(datasets),
            profiled=tuple(profiled),
            promote=_promoted(name, promote, transforms),
            schedule=schedule,
            start=_moment(start),
            end=_moment(end),
            approve=approve,
            timezone=timezone,
            delay=parse_duration(delay),
            catch_up=catch_up,
            after=(after,) if isinstance(after, str) else tuple(after),
            timeout=parse_duration(timeout) if timeout is not None else None,
        )
        verify_schedule(self.spec)
        if not self.spec.schemas:
            verify(self.spec)

    def __repr__(self) -> str:
        return f"Pipeline({self.spec.name!r})"


def sql(
    path: str,
    *,
    table: str | None = None,
    interval: str | None = None,
    lookback: str | timedelta | None = None,
    key: str | Sequence[str] = (),
    text: str | None = None,
) -> TransformSpec:
    """Declare a SQL transform: a file with one query, whose bare table names are the tables it reads.

    Args:
        path: The file, relative to the file that declares the pipeline (or to its folder ``transforms``).
        table: The table it makes; the default is the file's name without ending.
        interval: The output column by which it is rebuilt interval by interval; ``:interval_start`` and
            ``:interval_end`` are then bound in the query.
        lookback: How far before an interval the rows lie that its result depends on, as ``"6d"`` for a window of seven
            days: rows that come late make the intervals anew that they reach into.
        key: The column or columns by which the table is kept up: rows of keys that no new data touches stay as they
            are. A row of the result may depend on those rows of its inputs alone that have its key.
        text: The query itself, instead of a file; then ``path`` only names it.
    """
    name = table or Path(path).stem
    check_table_name(name, where="The name of a transform")
    return _checked(TransformSpec(table=name, sql=text, origin=path, **_kept_up(interval, lookback, key)))


def transform(
    *,
    table: str | None = None,
    interval: str | None = None,
    lookback: str | timedelta | None = None,
    key: str | Sequence[str] = (),
    volatile: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Mark a function as a transform with options; a plain function needs no mark.

    Args:
        table: The table it makes; the default is the function's name.
        interval: The output column by which it is rebuilt interval by interval.
        lookback: How far before an interval the rows lie that its result depends on; as for ``sql``.
        key: The column or columns by which the table is kept up; as for ``sql``.
        volatile: True where clock or chance take part.
    """
    kept_up = _kept_up(interval, lookback, key)

    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        function.__penstock__ = {"table": table, "volatile": volatile, **kept_up}  # type: ignore[attr-defined]
        return function

    return mark


def scoring(function: Callable[..., Any], *, model: str, version: str, columns: Sequence[str]) -> Scoring:
    """Let a function add columns to the rows of each micro-batch of a stream, whose ``score`` in ``stream=`` this is.

    Args:
        function: From a batch of Arrow, the rows as their messages have them, to one of as many rows with the columns
            that it adds. Loads name it with model, version and a fingerprint of its code, which lineage tells.
        model: What the model is called.
        version: Which version of it; say another when the model changes.
        columns: The columns that it adds.
    """
    if not callable(function) or not model or not version or not columns or isinstance(columns, str):
        raise ConfigurationError(
            "A scoring has a function, a model, a version, and columns that it adds",
            value=f"{function}, {model!r}, {version!r}, {columns!r}",
            valid='scoring(flag, model="moderation", version="3", columns=["flagged"])',
        )
    return Scoring(function=function, model=model, version=str(version), columns=tuple(columns))


def training_set(name: str, *, from_: str, label: str, **options: Any) -> DatasetSpec:
    """Declare a training set.

    Args:
        name: The dataset.
        from_: The table whose rows are the samples.
        label: SQL expression of the label.
        **options: The other fields of ``DatasetSpec``: ``event_time``, ``columns``, ``features``, ``split`` …
    """
    known = [field for field in DatasetSpec.__dataclass_fields__ if field not in ("name", "table", "label")]
    for option in options:
        if option not in known:
            raise unknown("argument", option, known, where=f"training set {name!r}")
    for several in ("columns", "features"):
        if several in options:
            options[several] = tuple(options[several])
    return DatasetSpec(name=name, table=from_, label=label, **options)


def feature(table: str, *, on: str | Sequence[str], event_time: str, **options: Any) -> FeatureSpec:
    """Declare features that are joined as they were known at the moment of the label.

    Args:
        table: The table of the features.
        on: The columns equal in both tables.
        event_time: The column that says when the feature happened.
        **options: ``known_at``, ``available_after``, ``expires_after``, ``columns``, ``prefix`` of ``FeatureSpec``;
            durations may be texts as ``"2h"``.
    """
    for name in ("available_after", "expires_after"):
        if isinstance(options.get(name), str):
            options[name] = parse_duration(options[name])
    if "columns" in options:
        options["columns"] = tuple(options["columns"])
    keys = (on,) if isinstance(on, str) else tuple(on)
    return FeatureSpec(table=table, on=keys, event_time=event_time, **options)


def split_by(*by: str, seed: int = 0, **shares: float) -> SplitSpec:
    """Declare a split by a keyed hash of columns, so that a group stays together and new rows move none.

    Args:
        *by: The columns of the group.
        seed: Part of the hash.
        **shares: Split name to share; they sum to 1.
    """
    if not by:
        raise ConfigurationError(
            "split_by needs at least one column", remedy='As split_by("tailnum", train=0.8, test=0.2)'
        )
    if not shares or abs(sum(shares.values()) - 1) > 1e-9 or min(shares.values()) <= 0:
        raise ConfigurationError("The shares of a split must be positive and sum to 1", value=str(shares))
    return SplitSpec(by=by, shares=shares, seed=seed)


def _promoted(
    pipeline: str, tables: Sequence[str], transforms: Sequence[TransformSpec | WindowSpec | Callable[..., Any]]
) -> tuple[str, ...]:
    """Return the tables of a release; a live one would stand there twice."""
    live = [item.table for item in transforms if isinstance(item, WindowSpec) and item.live and item.table in tables]
    if live:
        raise ConfigurationError(
            f"Pipeline {pipeline!r} promotes windows that are live, and in production without a release",
            value=", ".join(live),
            remedy="Take them out of promote, or declare them without windows.live(…)",
        )
    return tuple(tables)


def _windowed(
    item: WindowSpec,
    sources: Sequence[SourceSpec | SchemaSpec],
    others: Sequence[TransformSpec | WindowSpec | Callable[..., Any]],
) -> WindowedSpec:
    """Return a window as the transform that computes it."""
    from penstock.transform.windowing.declared import windowed

    made = [marks for each in others if (marks := _made(each)) != item.table]
    return windowed(item, [source for source in sources if isinstance(source, SourceSpec)], made)


def _made(item: TransformSpec | WindowSpec | Callable[..., Any]) -> str:
    """Return the table that a transform makes."""
    if isinstance(item, TransformSpec | WindowSpec):
        return item.table
    return str(getattr(item, "__penstock__", {}).get("table") or getattr(item, "__name__", item))


def _transform(item: TransformSpec | Callable[..., Any], folder: Path) -> TransformSpec:
    if isinstance(item, TransformSpec):
        return item if item.sql is not None or item.function is not None else replace(item, **_read(item, folder))
    if not callable(item):
        raise ConfigurationError("This is not a transform", value=item, valid="sql(…) or a function")
    marks = getattr(item, "__penstock__", {})
    name = marks.get("table") or item.__name__
    check_table_name(name, where="The name of a transform function")
    inputs = [name for name in inspect.signature(item).parameters if name not in _INTERVAL_PARAMETERS]
    code = inspect.unwrap(item).__code__
    return _checked(
        TransformSpec(
            table=name,
            function=item,
            inputs=tuple(inputs),
            origin=f"{Path(code.co_filename).name}:{code.co_firstlineno}",
            **{name: value for name, value in marks.items() if name != "table"},
        )
    )


def _kept_up(interval: str | None, lookback: str | timedelta | None, key: str | Sequence[str]) -> dict[str, Any]:
    far = parse_duration(lookback) if isinstance(lookback, str) else lookback or timedelta(0)
    return {"interval": interval, "lookback": far, "key": (key,) if isinstance(key, str) else tuple(key)}


def _checked(item: TransformSpec) -> TransformSpec:
    """Refuse a way of keeping a table up that contradicts itself."""
    what = f"Transform {item.table!r}"
    if item.lookback and item.interval is None:
        raise ConfigurationError(
            f"{what} has a look-back, but is not made by interval",
            value=f"lookback={item.lookback}",
            remedy="Say by which column of its result: interval=…",
        )
    if item.lookback < timedelta(0):
        raise ConfigurationError(f"The look-back of {what} is negative", value=str(item.lookback))
    if item.key and item.interval is not None:
        raise ConfigurationError(
            f"{what} is kept up by interval and by key", value=f"key={item.key}", remedy="Leave one of them out"
        )
    return item


_INTERVAL_PARAMETERS = ("interval", "interval_start", "interval_end")


def _read(item: TransformSpec, folder: Path) -> dict[str, Any]:
    tried = [folder / item.origin, folder / "transforms" / item.origin]
    for path in tried:
        if path.is_file():
            return {"sql": path.read_text(encoding="utf-8")}
    raise ConfigurationError(
        f"There is no file for the SQL transform {item.table!r}", value=item.origin, valid=[str(path) for path in tried]
    )


def _callers_folder() -> Path:
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return Path(frame.f_code.co_filename).parent if frame is not None else Path()


def _moment(value: str | date | None) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return parse_moment(value.isoformat())
    return midnight(value) if isinstance(value, date) else parse_moment(value)
