"""What is kept of a scoring: its code in the lake, before the first load that names it."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.model.scoring import Scoring, told
from penstock.model.specs import TransformSpec
from penstock.orchestrate import code
from penstock.orchestrate.workspace import Workspace


def scored(scoring: Scoring | None, workspace: Workspace) -> Mapping[str, str]:
    """Keep the code of a scoring, and return what manifests say of it; empty: there is none."""
    if scoring is None or scoring.function is None:
        return {}
    from penstock.transform.fingerprints import code_text, function_fingerprint

    mark = function_fingerprint(scoring.function)
    code.keep(workspace.lake.objects, mark, code_text(TransformSpec(table=scoring.model, function=scoring.function)))
    return told(scoring, mark)
