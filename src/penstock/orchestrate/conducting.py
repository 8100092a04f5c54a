"""Conducting: the work of a run, and what is kept of it, however it ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from penstock.catalog.port import Lease
from penstock.errors import PenstockError
from penstock.model.receipts import RunReceipt, State
from penstock.orchestrate import indexing
from penstock.orchestrate.context import RunContext
from penstock.orchestrate.preparing import Prepared
from penstock.orchestrate.workspace import Workspace, new_id, now
from penstock.values import dataclass


@dataclass(frozen=True, slots=True)
class Conduct:
    """What a run is made with; ``kind`` is what its steps share."""

    workspace: Workspace
    prepared: Prepared
    command: str
    lease: Lease
    started: datetime
    kind: type[RunContext] = RunContext


def conduct(given: Conduct, work: Callable[[RunContext], None]) -> RunReceipt:
    """Do the work of a run and keep what came of it."""
    context = given.kind(
        workspace=given.workspace,
        spec=given.prepared.spec,
        run=new_id(given.started),
        lease=given.lease,
        ledger=given.prepared.ledger,
    )
    begun = RunReceipt(
        id=context.run,
        pipeline=context.spec.name,
        command=given.command,
        started=given.started,
        finished=None,
        state=State.RUNNING,
    )
    given.workspace.catalog.put_run(begun)
    try:
        work(context)
    except PenstockError as error:
        context.errors.append(error)
    except BaseException:
        _keep(begun, context, interrupted=True)
        raise
    return _keep(begun, context)


def _keep(begun: RunReceipt, context: RunContext, *, interrupted: bool = False) -> RunReceipt:
    states = {step.state for step in context.steps}
    state = State.UNCHANGED
    if interrupted or context.errors or State.FAILED in states:
        state = State.FAILED
    elif State.REJECTED in states:
        state = State.REJECTED
    elif State.DONE in states:
        state = State.DONE
    ended = RunReceipt(
        id=begun.id,
        pipeline=begun.pipeline,
        command=begun.command,
        started=begun.started,
        finished=now(),
        state=state,
        steps=tuple(context.steps),
        exit_code=max((error.exit_code for error in context.errors), default=0),
        error="interrupted" if interrupted else " ".join(dict.fromkeys(str(error) for error in context.errors)),
    )
    if state is State.UNCHANGED and not any(step.fingerprint for step in context.steps):
        # A run that found nothing to do leaves every file as it was.
        context.workspace.catalog.drop_run(begun.id)
    else:
        indexing.keep_run(context.workspace, ended)
        _tell(ended, context)
    # Whoever interrupts a run does not want to wait; the next look finds it. An ingest has nobody to tell.
    if not interrupted and context.workspace.production is not None:
        from penstock.orchestrate import alerting

        alerting.after_run(context.workspace, context.spec, ended)
    return ended


def _tell(run: RunReceipt, context: RunContext) -> None:
    if context.workspace.events is not None:
        from penstock.orchestrate import telling

        telling.tell(context.workspace, run)
