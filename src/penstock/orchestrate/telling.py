"""Telling others about a run, once it has ended: lineage events. A run never fails for it, and hardly waits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from penstock.errors import PenstockError
from penstock.model.events import Waiting
from penstock.model.lineage import EventsSpec
from penstock.model.receipts import RunReceipt, State
from penstock.orchestrate.workspace import Workspace

if TYPE_CHECKING:
    from penstock.monitor import openlineage


def tell(workspace: Workspace, run: RunReceipt) -> None:
    """Send the lineage events of a run in a thread of its own; what does not go out is said, and no more.

    Args:
        workspace: The places; they say where events go, if anywhere.
        run: It has ended and is kept.
    """
    spec = workspace.events
    if spec is None:
        return
    problems: list[str] = []
    sender = threading.Thread(target=_tell, args=(workspace, run, spec, problems), name="lineage", daemon=True)
    sender.start()
    sender.join(spec.wait)
    if sender.is_alive():
        problems.append(f"The lineage events of run {run.id} were not sent within {spec.wait:g} s; the run goes on.")
    for problem in problems:
        workspace.observer(Waiting(sentence=problem))


def _tell(workspace: Workspace, run: RunReceipt, spec: EventsSpec, problems: list[str]) -> None:
    from penstock.monitor import openlineage, sending

    try:
        sending.send(openlineage.events(run, list(_told(workspace, run)), spec.namespace), spec)
    except PenstockError as error:
        problems.append(f"{error.sentence()} The run is not touched by it; penstock lineage answers all the same.")
    except Exception as error:
        # Whatever a receiver does must not end a run that is done.
        problems.append(f"The lineage events of run {run.id} could not be sent: {type(error).__name__}")


def _told(workspace: Workspace, run: RunReceipt) -> Iterator[openlineage.Told]:
    from penstock.monitor.openlineage import Told
    from penstock.orchestrate.lineage import Walk

    walk = Walk(workspace, run.finished or run.started)
    for step in run.steps:
        entry = walk.entries(step.table).get(step.number) if step.number is not None else None
        if entry is None or step.state not in (State.DONE, State.REJECTED) or step.step.startswith("load "):
            continue
        text = walk.text(entry)
        origins = walk.origins(entry)
        yield Told(step=step, entry=entry, query=text if origins else "", origins=origins)
