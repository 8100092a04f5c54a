from __future__ import annotations

from dataclasses import replace

import pytest
from promote_world import World, approval, at

from penstock.errors import AlreadyExistsError
from penstock.model.codec import decode
from penstock.model.releases import Candidate, Decision, Release, TableVersion, Withdrawal
from penstock.promote.approval import decide, may_promote

_TABLE = TableVersion(table="delays", number=4, rows=1, schema=(), files=())
_CANDIDATE = Candidate(id="c1", pipeline="flights", created_at=at(0), against=3, tables=(_TABLE,))
_CURRENT = Release(
    number=3,
    previous=2,
    candidate="c0",
    pipeline="flights",
    created_at=at(0),
    by="ada",
    tables=(),
    warehouse="3.duckdb",
)


def test_an_approved_candidate_may_pass() -> None:
    assert may_promote(_CANDIDATE, [approval("c1")], _CURRENT) == ()


@pytest.mark.parametrize(
    ("decisions", "sentence"),
    [
        ([], "Candidate c1 is not approved: penstock approve c1"),
        ([approval("c2")], "Candidate c1 is not approved: penstock approve c1"),
        ([approval("c1", kind="promote")], "Candidate c1 is not approved: penstock approve c1"),
        ([approval("c1", kind="reject")], "Candidate c1 was rejected by ada"),
        (
            [approval("c1", kind="reject", minute=5, reason="half the rows"), approval("c1", minute=4)],
            "Candidate c1 was rejected by ada: half the rows",
        ),
    ],
)
def test_the_newest_word_on_exactly_this_candidate_counts(decisions: list[Decision], sentence: str) -> None:
    assert may_promote(_CANDIDATE, decisions, _CURRENT) == (sentence,)
    assert may_promote(_CANDIDATE, [*decisions, approval("c1", minute=9)], _CURRENT) == ()


@pytest.mark.parametrize("force", [False, True])
def test_an_approval_ends_when_production_moves(force: bool) -> None:
    moved = replace(_CURRENT, number=4)
    assert may_promote(_CANDIDATE, [approval("c1")], moved, force=force) == (
        "Production has moved to release 4 since candidate c1 was compared with release 3; "
        "make the report again: penstock diff",
    )
    first = replace(_CANDIDATE, against=0)
    assert may_promote(first, [approval("c1")], None, force=force) == ()
    assert "an empty production" in may_promote(first, [approval("c1")], _CURRENT, force=force)[0]


def test_force_passes_the_gate_and_nothing_else() -> None:
    gated = replace(_CANDIDATE, gate=("Check 'unique' failed in version 4 of delays: 2 rows",))
    assert may_promote(gated, [approval("c1")], _CURRENT) == gated.gate
    assert may_promote(gated, [approval("c1")], _CURRENT, force=True) == ()
    assert may_promote(gated, [], _CURRENT, force=True) == ("Candidate c1 is not approved: penstock approve c1",)


def test_a_version_rolled_back_is_said_once() -> None:
    withdrawn = replace(_CURRENT, withdrawn=(Withdrawal(table="delays", number=4, release=3),))
    sentence = "Version 4 of delays was rolled back by release 3; replace it or promote with --force and a reason"
    assert may_promote(_CANDIDATE, [approval("c1")], withdrawn) == (sentence,)
    assert may_promote(replace(_CANDIDATE, gate=(sentence,)), [approval("c1")], withdrawn) == (sentence,)
    other = replace(_CURRENT, withdrawn=(Withdrawal(table="delays", number=3, release=3),))
    assert may_promote(_CANDIDATE, [approval("c1")], other) == ()


def test_all_reasons_are_given_at_once() -> None:
    found = may_promote(replace(_CANDIDATE, against=1, gate=("a", "b")), [], _CURRENT)
    assert len(found) == 4


def test_a_decision_is_written_once_and_for_ever(world: World) -> None:
    decision = approval("c1", reason="looks right")
    decide(decision, world.staging.objects)
    assert decode(Decision, world.staging.objects.get("_decisions/0-approve.json"), where="it") == decision
    with pytest.raises(AlreadyExistsError):
        decide(replace(decision, reason="changed my mind"), world.staging.objects)
