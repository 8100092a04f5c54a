"""Schedules as a project's user sees them: carry them out, look at them, pause, resume, ask for a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.catalog.port import Catalog
    from penstock.config.project import ProjectConfig
    from penstock.model.firings import Firing, ScheduleReport, ServeEvent
    from penstock.model.specs import PipelineSpec
    from penstock.orchestrate.schedule.serving import Stopping


class Schedules:
    """The schedules of a project; ``Project.schedules`` makes it. It opens the catalog alone, no lake and no engine.

    Args:
        config: The project's configuration.
    """

    def __init__(self, config: ProjectConfig) -> None:
        self._config = config

    def serve(
        self,
        tell: Callable[[ServeEvent], None],
        stopping: Stopping,
        *,
        once: bool = False,
        parallel: int | None = None,
    ) -> int:
        """Begin what is due, as long as this process holds the scheduler's lease; returns the exit code.

        ``tell`` gets the log, ``stopping`` says when to end; with ``once`` what is due now is begun and waited for.
        """
        from penstock.orchestrate.schedule import looking, serving

        serve = self._config.serve if parallel is None else replace(self._config.serve, parallel=parallel)
        share = serving.share(self._config.memory, serve)
        with self._catalog() as catalog:
            return serving.serve(
                serving.Serving(
                    root=self._config.root,
                    catalog=catalog,
                    serve=serve,
                    share=share,
                    load=self._pipelines,
                    tell=tell,
                    stopping=stopping,
                    once=once,
                    alerts=looking.Look(self._config.root) if self._config.alerts.channels and not once else None,
                )
            )

    def report(self, pipeline: str | None = None, limit: int = 10) -> ScheduleReport:
        """Return what is due when, why something waits, and the newest firings."""
        from penstock.orchestrate.schedule import showing

        with self._catalog() as catalog:
            return showing.report(catalog, self._pipelines(), self._config.serve, pipeline, limit)

    def pause(self, pipeline: str, by: str | None = None) -> None:
        """Have nothing of a pipeline begun until it is resumed; what runs goes on."""
        from penstock.orchestrate.schedule import showing
        from penstock.orchestrate.workspace import user

        with self._catalog() as catalog:
            showing.pause(catalog, self._pipelines(), pipeline, by or user())

    def resume(self, pipeline: str) -> None:
        """Have a pipeline begun again; what was due meanwhile follows its ``catch_up``."""
        from penstock.orchestrate.schedule import showing

        with self._catalog() as catalog:
            showing.resume(catalog, self._pipelines(), pipeline)

    def ask(self, pipeline: str) -> Firing:
        """Ask the scheduler for a run of all that is due, as soon as it can."""
        from penstock.orchestrate.schedule import showing

        with self._catalog() as catalog:
            return showing.ask(catalog, self._pipelines(), pipeline)

    def _pipelines(self) -> Mapping[str, PipelineSpec]:
        from penstock.config.pipelines import load_pipelines

        return load_pipelines(self._config)

    @contextmanager
    def _catalog(self) -> Iterator[Catalog]:
        from penstock.catalog.opening import open_catalog

        catalog = open_catalog(self._config.catalog)
        try:
            yield catalog
        finally:
            catalog.close()
