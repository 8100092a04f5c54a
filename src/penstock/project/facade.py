"""The opened project."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import TYPE_CHECKING, Any

from penstock.model.events import Observer, ignore

if TYPE_CHECKING:
    from datetime import timedelta

    from penstock.dataset.receipts import DatasetReceipt, VerifyReceipt
    from penstock.extract.port import TableDescription
    from penstock.extract.streams.webhooks.inbox import Inbox
    from penstock.model.answers import (
        CompactionReport,
        DoctorReport,
        Forgotten,
        IntervalLedger,
        ProfileReport,
        ProjectStatus,
        RebuildReceipt,
        StreamLag,
        SuggestedChecks,
        VacuumReport,
    )
    from penstock.model.entries import Entry
    from penstock.model.interval import Interval
    from penstock.model.lineage import LineageReport
    from penstock.model.plan import Plan
    from penstock.model.receipts import CheckReceipt, RunReceipt
    from penstock.model.releases import Candidate, Decision, Release
    from penstock.model.reports import TableReport
    from penstock.model.specs import PipelineSpec
    from penstock.model.testing import CasesReport
    from penstock.monitor.drift import DriftReport
    from penstock.orchestrate.workspace import Workspace
    from penstock.project.alerts import Alerts
    from penstock.project.live import Live
    from penstock.project.quarantine import Quarantine
    from penstock.project.schedules import Schedules


class Project:
    """An opened project. Use it as a context manager, or close it. Threads may share it.

    Args:
        folder: The folder of ``penstock.toml``, or any below it; None: the current one.
        observer: Gets the events of runs, for progress displays.
    """

    def __init__(self, folder: str | Path | None = None, *, observer: Observer = ignore) -> None:
        from penstock.config.project import find_project, load_project

        self.config = load_project(find_project(folder))
        self._observer = observer
        self._opening = RLock()
        self._opened: Workspace | None = None
        self._pipelines: dict[str, PipelineSpec] | None = None

    def __enter__(self) -> Project:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close catalog and engine."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    @property
    def _workspace(self) -> Workspace:
        with self._opening:
            if self._opened is None:
                from penstock.orchestrate.workspace import open_workspace

                self._opened = open_workspace(self.config, self._observer)
            return self._opened

    # What is there -----------------------------------------------------------------------------------------------

    def pipelines(self) -> dict[str, PipelineSpec]:
        """Return the pipelines by name; the project's code is imported once."""
        if self._pipelines is None:
            from penstock.config.pipelines import load_pipelines

            self._pipelines = {name: self._expanded(spec) for name, spec in load_pipelines(self.config).items()}
        return self._pipelines

    def pipeline(self, name: str | None = None) -> PipelineSpec:
        """Return one pipeline; without a name the only one. Raises ConfigurationError where that is not clear."""
        from penstock.config.pipelines import choose_pipeline

        return choose_pipeline(self.pipelines(), name)

    def _declaring(self, name: str | None, declares: Callable[[PipelineSpec], bool]) -> PipelineSpec:
        """Return the pipeline of that name; without a name the only one that declares what is asked for."""
        found = [spec for spec in self.pipelines().values() if declares(spec)] if name is None else []
        return found[0] if len(found) == 1 else self.pipeline(name)

    def _expanded(self, spec: PipelineSpec, *, afresh: bool = False) -> PipelineSpec:
        if not spec.schemas:
            return spec
        from penstock.orchestrate.expanding import expand

        return expand(self._workspace, spec, afresh=afresh)

    def _asked_afresh(self, name: str | None) -> PipelineSpec:
        """Return one pipeline, its databases asked which tables they have now."""
        from penstock.config.pipelines import choose_pipeline, load_pipelines

        return self._expanded(choose_pipeline(load_pipelines(self.config), name), afresh=True)

    def status(self) -> ProjectStatus:
        """Return how things stand."""
        from penstock.orchestrate import asking

        known = tuple(self.pipelines().values())
        return asking.status(self._workspace, known)

    def runs(self, pipeline: str | None = None, limit: int = 20) -> tuple[RunReceipt, ...]:
        """Return the newest runs."""
        return self._workspace.catalog.runs(pipeline, limit)

    def run_details(self, id: str) -> RunReceipt:  # noqa: A002
        """Return one run by the beginning of its id."""
        return self._workspace.catalog.run(id)

    def versions(self, table: str, limit: int = 20) -> tuple[Entry, ...]:
        """Return the newest entries of a table: loads and verdicts of a source, versions of a transform."""
        from penstock.orchestrate import asking

        return asking.versions(self._workspace, table, limit)

    def test(self, table: str | None = None) -> CasesReport:
        """Compute transforms over the small rows of ``tests/*.toml`` and compare; touches nothing of the project."""
        from penstock.config.cases import read_cases
        from penstock.orchestrate import testing

        return testing.test(self.pipelines(), read_cases(self.config.root), table, self.config.memory // 2)

    def lineage(self, table: str, column: str | None = None, as_of: str | None = None) -> LineageReport:
        """Return what made a table (or one column of it), now or as it stood at the end of a run."""
        from penstock.orchestrate import lineage

        return lineage.lineage(self._workspace, table, column, as_of)

    def scope(self, uri: str, table: str | None = None) -> tuple[TableDescription, ...]:
        """Say what can be read at a URI or a connection of the project."""
        from penstock.orchestrate import scoping

        return scoping.scope(uri, table, self.config.connections, self.config.root)

    # What runs do ------------------------------------------------------------------------------------------------

    def plan(self, pipeline: str | None = None, interval: Interval | None = None, **options: Any) -> Plan:
        """Return what a run or backfill would do and why; writes nothing; ``options`` are ``again`` and ``refresh``."""
        from penstock.orchestrate import running

        spec, refresh = self.pipeline(pipeline), frozenset(options.pop("refresh", ()))
        return running.plan(self._workspace, spec, interval, running.Asked(refresh=refresh, **options))

    def intervals(self, pipeline: str | None = None, interval: Interval | None = None) -> tuple[IntervalLedger, ...]:
        """Return of each table which intervals are done, failed, missing or stale (None: from the start to now)."""
        from penstock.orchestrate import standing_intervals

        spec = self.pipeline(pipeline)
        return standing_intervals.intervals(self._workspace, spec, interval)

    def run(
        self,
        pipeline: str | None = None,
        interval: Interval | None = None,
        *,
        plan: Plan | None = None,
        refresh: Iterable[str] = (),
    ) -> RunReceipt:
        """Run a pipeline: extract, land, check, load, transform, check, load transformed.

        ``interval`` is the time to cover (None: everything due); of a ``plan`` made before just that is done, and it is
        refused if the state has moved since; the transforms of ``refresh`` are computed anew, whole.
        """
        from penstock.orchestrate import running

        asked = running.Asked(interval=interval, expected=plan, refresh=frozenset(refresh))
        spec = self._asked_afresh(pipeline)
        return running.run(self._workspace, spec, asked)

    def fire(self, place: str) -> RunReceipt:
        """Carry out one attempt at a firing of the scheduler, ``ID:ATTEMPT``; the scheduler's processes call it."""
        from penstock.orchestrate.schedule import working

        return working.work(self._workspace, self._asked_afresh, self.config.serve, working.place_of(place))

    def backfill(
        self,
        pipeline: str | None,
        interval: Interval,
        *,
        again: bool = False,
        refresh: Iterable[str] = (),
        parallel: int = 1,
    ) -> RunReceipt:
        """Run a pipeline over a range, interval by interval, ``parallel`` of them read at once.

        What is done is skipped unless ``again``; the transforms of ``refresh`` are computed anew, whole.
        """
        from penstock.orchestrate import running

        asked = running.Asked(
            command="backfill", interval=interval, again=again, refresh=frozenset(refresh), parallel=parallel
        )
        return running.run(self._workspace, self._asked_afresh(pipeline), asked)

    def retry(self, pipeline: str | None = None, table: str | None = None) -> RunReceipt:
        """Read the rejected loads again, just those, and go on below them."""
        from penstock.orchestrate import running

        return running.retry(self._workspace, self.pipeline(pipeline), table)

    def stream(
        self,
        pipeline: str | None = None,
        tables: Iterable[str] = (),
        *,
        until_end: bool = False,
        retry: bool = False,
        share: bool = False,
        told: Callable[[], bool] = bool,
    ) -> RunReceipt:
        """Consume the streams of a pipeline (``tables``: only these) until told to stop by Ctrl-C or SIGTERM.

        ``until_end``: until all is there that was at the source at the beginning; ``retry``: read rejected loads again;
        ``share``: read some partitions, others that do so read the rest; ``told``: asked each second whether to end.
        """
        from penstock.orchestrate.streaming import consuming, session

        spec = self._declaring(pipeline, lambda spec: any(source.stream is not None for source in spec.sources))
        spec = self._asked_afresh(spec.name)
        asked = consuming.Consuming(until_end=until_end, retry=retry, share=share, told=told)
        return session.stream(self._workspace, spec, asked, tuple(tables))

    def forget(self, pipeline: str | None = None) -> Forgotten:
        """Drop the replication slots, and what else was made at databases for the changes that a pipeline reads."""
        from penstock.model.capture import captured
        from penstock.orchestrate.streaming import session

        return session.forget(self._workspace, self._declaring(pipeline, lambda spec: any(map(captured, spec.sources))))

    def lags(self, pipeline: str | None = None) -> tuple[StreamLag, ...]:
        """Return how fresh the streams of a pipeline are (None: of all), by their newest micro-batches."""
        from penstock.orchestrate.streaming import freshness

        specs = self.pipelines().values() if pipeline is None else (self.pipeline(pipeline),)
        return freshness.lags(self._workspace, tuple(specs))

    def inboxes(self) -> dict[str, Inbox]:
        """Return path to inbox of the streams that take webhooks; ``web.hooks.listening`` serves them."""
        from penstock.orchestrate import receiving

        return receiving.inboxes(str(self.config.root), self.pipelines().values(), self.config.connections)

    def accept(self, table: str, load: int, reason: str, by: str | None = None) -> Entry:
        """Accept a rejected load as it is; the next run goes on below it."""
        from penstock.orchestrate import judging

        return judging.accept(self._workspace, self.pipelines(), table, load, reason=reason, by=by)

    def discard(self, table: str, load: int, reason: str, by: str | None = None) -> Entry:
        """End a rejected load without its rows."""
        from penstock.orchestrate import judging

        return judging.discard(self._workspace, self.pipelines(), table, load, reason=reason, by=by)

    def check(self, table: str, pipeline: str | None = None) -> CheckReceipt:
        """Run the checks of a table over all its rows as they are; writes nothing."""
        from penstock.orchestrate import judging

        return judging.check(self._workspace, self._making(table, pipeline), table)

    def suggest(self, table: str, pipeline: str | None = None) -> SuggestedChecks:
        """Return checks that held in all recent loads of a table, as code to edit; writes nothing."""
        from penstock.checks.suggested import made
        from penstock.orchestrate import suggesting

        return suggesting.suggest(self._workspace, self._making(table, pipeline), table, made)

    def report(self, table: str, pipeline: str | None = None, *, number: int | None = None) -> TableReport:
        """Return what the checks of a table found in a load or version, beside those before; no data is read."""
        from penstock.orchestrate import reporting

        return reporting.report(self._workspace, self._making(table, pipeline), table, number)

    def profile(self, table: str, pipeline: str | None = None) -> ProfileReport:
        """Return what the values of a table look like, merged from the profiles that its loads or versions keep."""
        from penstock.orchestrate import profiling

        return profiling.profile(self._workspace, self._making(table, pipeline), table)

    def drift(
        self,
        table: str,
        pipeline: str | None = None,
        *,
        against: str | None = None,
        classifier: bool = False,
        **limits: float,
    ) -> DriftReport:
        """Compare the newest load or version of a table with those before; no data is read.

        Args:
            table: The table, which its pipeline lists in ``profiled``.
            pipeline: The pipeline, where there are several.
            against: ``before``, ``usual``, ``weekday``, ``release``, ``dataset:NAME``, or a number.
            classifier: Whether a classifier is to tell the rows apart as well (``penstock[drift]``); it reads some.
            limits: As ``monitor.drift.Limits`` has them.
        """
        from penstock.monitor.drift import Limits
        from penstock.orchestrate import profiling

        spec = self._making(table, pipeline)
        return profiling.drift(self._workspace, spec, table, against, Limits(**limits), classifier=classifier)

    def _making(self, table: str, pipeline: str | None) -> PipelineSpec:
        """Return the pipeline that reads or makes a table."""
        return self._declaring(
            pipeline, lambda spec: table in {*(s.table for s in spec.sources), *(t.table for t in spec.transforms)}
        )

    @property
    def schedules(self) -> Schedules:
        """Return the schedules: what carries them out, looks at them, pauses and resumes them."""
        from penstock.project.schedules import Schedules

        return Schedules(self.config)

    @property
    def quarantine(self) -> Quarantine:
        """The rows that checks set aside: list, show, export, replay, discard."""
        from penstock.project.quarantine import Quarantine

        return Quarantine(self._workspace, self.pipelines)

    @property
    def live(self) -> Live:
        """The tables that streams write straight to production: take one back to a load."""
        from penstock.project.live import Live

        return Live(self._workspace, self.pipelines)

    @property
    def alerts(self) -> Alerts:
        """What is wrong without anybody looking: how it stands, a look now, a test of channels, silence for a time."""
        from penstock.project.alerts import Alerts

        return Alerts(self._workspace, self.pipelines, self.config.serve)

    # Releases ----------------------------------------------------------------------------------------------------

    def diff(self, pipeline: str | None = None) -> Candidate:
        """Freeze the newest versions as a candidate and say what it would change in production."""
        from penstock.orchestrate import releasing

        return releasing.diff(self._workspace, self.pipeline(pipeline))

    def candidate(self, id: str | None = None, pipeline: str | None = None) -> Candidate:  # noqa: A002
        """Return a candidate by the beginning of its id; without one the newest of the pipeline."""
        from penstock.orchestrate import releasing

        return releasing.find(self._workspace, id, pipeline)

    def approve(self, candidate: str | None = None, reason: str = "", by: str | None = None) -> Decision:
        """Approve exactly this candidate (None: the newest)."""
        from penstock.orchestrate import releasing

        return releasing.approve(self._workspace, candidate, reason=reason, by=by)

    def reject(self, candidate: str | None = None, reason: str = "", by: str | None = None) -> Decision:
        """Reject a candidate (None: the newest)."""
        from penstock.orchestrate import releasing

        return releasing.reject(self._workspace, candidate, reason=reason, by=by)

    def promote(
        self, candidate: str | None = None, *, reason: str = "", by: str | None = None, force: bool = False
    ) -> Release:
        """Make a candidate the production release (None: the newest approved)."""
        from penstock.orchestrate import releasing

        return releasing.promote(self._workspace, self.pipelines(), candidate, reason=reason, by=by, force=force)

    def rollback(self, to: int | None = None, *, reason: str, by: str | None = None) -> Release:
        """Serve an earlier release again (None: the one before)."""
        from penstock.orchestrate import releasing

        return releasing.rollback(self._workspace, to, reason=reason, by=by)

    def releases(self) -> tuple[Release, ...]:
        """Return production's releases, newest first."""
        from penstock.orchestrate import releasing

        return releasing.releases(self._workspace)

    # Training sets -----------------------------------------------------------------------------------------------

    def build_dataset(self, name: str | None = None, pipeline: str | None = None) -> DatasetReceipt:
        """Build a training set from the production release; says so if it is there already."""
        from penstock.orchestrate import datasets

        spec = self._declaring(pipeline, lambda spec: any(each.name == name for each in spec.datasets))
        return datasets.build(self._workspace, spec, name)

    def verify_dataset(self, name: str, version: str | None = None) -> VerifyReceipt:
        """Check every shard of a training set against its manifest (None: the newest version)."""
        from penstock.orchestrate import datasets

        return datasets.verify(self._workspace, name, version)

    def datasets(self) -> tuple[Any, ...]:
        """Return the manifests of all training sets."""
        from penstock.orchestrate import datasets

        return datasets.listed(self._workspace)

    # Personal values ---------------------------------------------------------------------------------------------

    def decrypt(self, values: Iterable[Any]) -> list[str | bytes | None]:
        """Return what columns marked ``encrypt`` hold, for who has the key; see ``privacy.values.decrypt``."""
        from penstock.privacy.values import decrypt

        return decrypt(values, self.config.keys)

    def token(self, value: object) -> str:
        """Return the token that a value has in columns marked ``tokenise``; see ``privacy.values.token_of``."""
        from penstock.privacy.values import token_of

        return token_of(value, self.config.keys)

    # Care --------------------------------------------------------------------------------------------------------

    def rebuild(
        self, pipeline: str | None = None, table: str | None = None, *, recompute: bool = False
    ) -> RebuildReceipt:
        """Make the staging warehouse, or one pipeline's tables, or one table, anew from the lake; no source is asked.

        ``recompute`` computes transforms even where a version that is up to date could be put back.
        """
        from penstock.orchestrate import rebuilding

        asked = rebuilding.Rebuild(pipeline=pipeline, table=table, recompute=recompute)
        return rebuilding.rebuild(self._workspace, self.pipelines(), asked)

    def rebuild_catalog(self) -> DoctorReport:
        """Make the catalog anew from the lakes; a damaged SQLite file is set aside first."""
        from penstock.orchestrate import doctor

        self.close()
        kept = doctor.set_aside(self.config.catalog)
        return doctor.rebuild(self._workspace, kept)

    def examine(self, *, clean: bool = False) -> DoctorReport:
        """Finish what a crash left half-way and list objects that nothing names; ``clean`` removes them.

        ``clean`` raises LeaseHeldError while something is at work.
        """
        from penstock.orchestrate import doctor

        pipelines = tuple(self.pipelines().values())
        return doctor.examine(self._workspace, clean=clean, pipelines=pipelines, catalog=self.config.catalog)

    def compact(
        self, table: str | None = None, window: str | None = None, *, open_too: bool = False
    ) -> tuple[CompactionReport, ...]:
        """Write the small files of a raw table (None: of all) together; goes on beside runs.

        Only files of one closed ``window`` (``hour`` or ``day``) come together; ``open_too``: the open one as well.
        Raises LeaseHeldError while another compaction or a vacuum is at work.
        """
        from penstock.orchestrate import compacting

        return compacting.compact(self._workspace, table, window, open_too=open_too)

    def vacuum(self, older_than: str | timedelta = "7d", *, dry_run: bool = False) -> VacuumReport:
        """Delete data files that ceased to count so long ago; never one that a kept release, a pin or a run needs.

        Raises LeaseHeldError while a compaction, another vacuum, a promotion or a rollback is at work.
        """
        from penstock.model.durations import parse_duration
        from penstock.orchestrate import vacuuming

        return vacuuming.vacuum(self._workspace, parse_duration(older_than), dry_run=dry_run)
