"""Suggestions as checks: what the code of a suggestion, run, would give."""

from __future__ import annotations

from penstock import checks
from penstock.model.specs import CheckSpec
from penstock.suggest.suggestion import Suggestion


def made(suggestion: Suggestion) -> CheckSpec:
    """Return the check that a suggestion writes as a call of a function of ``penstock.checks``."""
    spec: CheckSpec = getattr(checks, suggestion.kind)(*suggestion.arguments, **suggestion.keywords)
    return spec
