"""Commands about things that are not there, that moved on, or that are not for this person."""

from __future__ import annotations

import json

import pytest
from spoiled import ORDERS, TOML, Shop

DATASET = 'datasets=[training_set("big", from_="revenue", label="revenue > 1", split=split_by("country", train=1.0))]'

REQUESTS: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "pipeline": ("run shpo", 2, ("shpo", "Did you mean 'shop'?")),
    "table of versions": ("versions ordres", 2, ("ordres", "Did you mean 'raw_orders'?")),
    "table of a check": ("check ordres", 2, ("ordres", "Did you mean 'orders'?")),
    "table of a quarantine": ("quarantine show ordres", 2, ("ordres",)),
    "nothing in quarantine": ("quarantine show orders", 6, ("orders",)),
    "table of a retry": ("retry --table ordres", 2, ("ordres", "Did you mean 'orders'?")),
    "nothing to retry": ("retry", 6, ("shop", "no rejected load")),
    "table to accept": ("accept ordres 1 --reason r", 2, ("ordres", "Did you mean 'orders'?")),
    "load": ("accept orders 77 --reason r", 6, ("orders", "77")),
    "load that is accepted": ("discard orders 1 --reason r", 6, ("orders", "1")),
    "run": ("runs --id 1999", 6, ("1999",)),
        "no candidate to approve": ("approve", 6, ("penstock diff",)),
    "no candidate to reject": ("reject --reason r", 6, ("penstock diff",)),
    "nothing to promote": ("promote", 6, ("penstock",)),
    "no release": ("rollback --reason r", 6, ("release",)),
        "dataset": ("dataset build bgi", 2, ("bgi", "Did you mean 'big'?")),
    "dataset without a release": ("dataset build big", 6, ("release", "promote")),
    "dataset to verify": ("dataset verify bgi", 2, ("bgi",)),
    "interval": ("plan --interval 2026-01-32", 2, ("2026-01-32",)),
    "range of no schedule": ("backfill --from 2026-01-01 --to 2026-01-02", 2, ("shop", "schedule")),
    "command": ("rnu", 2, ("rnu", "run")),
}  # fmt: skip


@pytest.mark.parametrize("given", REQUESTS)
def test_a_request_for_what_is_not_there(shop: Shop, given: str) -> None:
    line, code, words = REQUESTS[given]
    shop.declare(more=DATASET)
    assert shop.type("run").code == 0
    before = shop.tree()
    shop.refused(shop.type(*line.split()), code, *words)
    shop.unchanged(before)


def test_a_plan_that_is_no_longer_true(shop: Shop) -> None:
    shop.write("plan.json", shop.type("plan", "--json").out)
    assert shop.type("run").code == 0
    before = shop.tree()
    shop.refused(shop.type("run", "--plan", "plan.json"), 5, "shop", "moved", "penstock plan")
    shop.write("plan.json", '{"pipeline": ')
    shop.refused(shop.type("run", "--plan", "plan.json"), 2, "plan.json", "penstock plan")
    shop.unchanged(before)


def test_a_candidate_of_which_production_has_moved_on(shop: Shop) -> None:
    assert shop.type("run").code == 0
    old = shop.type("diff", "--json").data["id"]
    shop.refused(shop.type("approve", "feed"), 2, "feed", "penstock diff")
    assert shop.type("approve", old).code == 0
    shop.write("orders.csv", ORDERS + "4,PE,2026-01-04,1\n")
    assert shop.type("run").code == 0
    new = shop.type("diff", "--json").data["id"]
    shop.refused(shop.type("promote", new), 5, new[:6], "penstock approve")
    assert shop.type("approve", new).code == 0
    assert shop.type("promote", new).code == 0
    before = shop.tree()
    shop.refused(shop.type("rollback", "--to", "9", "--reason", "r"), 2, "release 9", "Valid")
    shop.refused(shop.type("promote", old), 5, old[:6], "penstock diff")
    shop.refused(shop.type("approve", old), 5, old[:6], "penstock diff")
    shop.unchanged(before)
    # The old candidate was staged in production, where nothing names its files now.
    assert shop.type("doctor", "--clean").code == 0
    shop.whole()


def test_an_approval_by_somebody_who_may_not(shop: Shop) -> None:
    shop.write("penstock.toml", TOML + 'approvers = ["grace"]\n')
    assert shop.type("run").code == 0
    id_ = shop.type("diff", "--json").data["id"]
    before = shop.tree()
    shop.refused(shop.type("approve", id_), 2, "ada", "grace")
    shop.refused(shop.type("promote", id_), 5, id_[:6], "penstock approve")
    shop.unchanged(before)
    assert shop.type("approve", id_, "--by", "grace").code == 0


def test_a_misspelt_json_request_is_json_too(shop: Shop) -> None:
    said = json.loads(shop.type("versions", "ordres", "--json").err)["error"]
    assert said["exit_code"] == 2
