"""The state of alerts, over SQLite and PostgreSQL alike."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from penstock.catalog.opening import open_catalog
from penstock.catalog.port import Catalog
from penstock.model.alerts import (
    Alert,
    AlertEvent,
    AlertKind,
    AlertsSpec,
    ChannelSpec,
    Finding,
)
from penstock.model.entries import Entry, EntryKind
from penstock.monitor.reconciling import reconcile

AT = datetime(2026, 11, 21, 5, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SPEC = AlertsSpec(channels=(ChannelSpec(name="one", folder="x"), ChannelSpec(name="two", folder="y")))


def finding(subject: str = "orders", pipeline: str = "shop") -> Finding:
    return Finding(kind=AlertKind.SILENT, subject=subject, pipeline=pipeline, since=AT - MINUTE, said="Nothing came.")


def look(catalog: Catalog, at: datetime, *found: Finding, pipelines: tuple[str, ...] = ("shop",)) -> None:
    catalog.alerts.settle(pipelines, at, lambda known, told: reconcile(known, told, found, SPEC, at))


def test_an_alert_opens_is_sent_once_on_each_channel_and_ends(catalog: Catalog) -> None:
    book = catalog.alerts
    look(catalog, AT, finding())
    look(catalog, AT + MINUTE, finding())
    assert [alert.id for alert in book.alerts()] == ["silent:orders"]
    for channel in ("one", "two"):
        claim = book.claim(channel, AT + MINUTE, 60)
        assert claim is not None
        assert [(message.event, message.first) for message in claim.messages] == [(AlertEvent.OPENED, True)]
        assert book.claim(channel, AT + MINUTE, 60) is None
        book.finish(claim, AT + MINUTE)
        assert book.claim(channel, AT + MINUTE, 60) is None
    look(catalog, AT + 2 * MINUTE)
    (alert,) = book.alerts()
    assert alert.resolved == AT + 2 * MINUTE
    claim = book.claim("one", AT + 2 * MINUTE, 60)
    assert claim is not None
    assert [(message.event, message.first) for message in claim.messages] == [(AlertEvent.RESOLVED, False)]
    assert book.looked() == {"shop": AT + 2 * MINUTE}


def test_what_failed_is_due_later_with_its_problem(catalog: Catalog) -> None:
    book = catalog.alerts
    look(catalog, AT, finding())
    claim = book.claim("one", AT, 60)
    assert claim is not None
    book.finish(claim, AT, "it was refused", AT + MINUTE)
    (state,) = [each for each in book.messages() if each.channel == "one"]
    assert (state.problem, state.attempts, state.told) == ("it was refused", 1, None)
    assert book.claim("one", AT, 60) is None
    again = book.claim("one", AT + MINUTE, 60)
    assert again is not None
    assert again.messages[0].key == claim.messages[0].key


def test_a_claim_that_ran_out_is_another_s_and_its_old_holder_notes_nothing(catalog: Catalog) -> None:
    book = catalog.alerts
    look(catalog, AT, finding())
    lost = book.claim("one", AT, 0)
    taken = book.claim("one", AT, 60)
    assert lost is not None
    assert taken is not None
    book.finish(lost, AT)
    assert [each.due for each in book.messages() if each.channel == "one"] == [AT]
    book.finish(taken, AT)
    assert [each.due for each in book.messages() if each.channel == "one"] == [None]


def test_what_ends_while_it_is_sent_is_told_to_have_ended(catalog: Catalog) -> None:
    book = catalog.alerts
    look(catalog, AT, finding())
    sending = book.claim("one", AT, 60)
    assert sending is not None
    look(catalog, AT + MINUTE)
    book.finish(sending, AT + MINUTE)
    claim = book.claim("one", AT + MINUTE, 60)
    assert claim is not None
    assert [message.event for message in claim.messages] == [AlertEvent.RESOLVED]


def test_a_look_that_was_overtaken_changes_nothing_and_a_clock_far_ahead_does_no_harm(catalog: Catalog) -> None:
    look(catalog, AT)
    look(catalog, AT - MINUTE, finding())
    assert catalog.alerts.alerts() == ()
    look(catalog, AT + timedelta(days=365))
    look(catalog, AT + MINUTE, finding())
    assert len(catalog.alerts.alerts()) == 1


def test_looks_at_other_pipelines_leave_an_alert_alone(catalog: Catalog) -> None:
    look(catalog, AT, finding())
    look(catalog, AT + MINUTE, finding("bills", "billing"), pipelines=("billing",))
    assert [alert.resolved for alert in catalog.alerts.alerts()] == [None, None]


def test_looks_at_the_same_time_open_an_alert_once_and_one_of_them_sends_it(catalog: Catalog, catalog_url: str) -> None:
    opened = [open_catalog(catalog_url) for _ in range(6)]

    def act(number: int) -> list[str]:
        mine = opened[number]
        look(mine, AT, finding())
        claim = mine.alerts.claim("one", AT, 60)
        if claim is None:
            return []
        mine.alerts.finish(claim, AT)
        return [message.alert.id for message in claim.messages]

    with ThreadPoolExecutor(6) as pool:
        sent = [alert for alerts in pool.map(act, range(6)) for alert in alerts]
    for each in opened:
        each.close()
    assert sent == ["silent:orders"]
    assert len(catalog.alerts.alerts()) == 1


def test_an_open_alert_can_be_changed_and_one_that_is_over_cannot(catalog: Catalog) -> None:
    def later(alert: Alert) -> Alert:
        return Alert(id=alert.id, finding=alert.finding, opened=alert.opened, muted_until=AT + MINUTE)

    look(catalog, AT, finding())
    changed = catalog.alerts.change("silent:orders", later)
    assert changed is not None
    assert catalog.alerts.alerts() == (changed,)
    assert catalog.alerts.claim("one", AT, 60) is None
    assert catalog.alerts.claim("one", AT + MINUTE, 60) is not None
    look(catalog, AT + MINUTE)
    assert catalog.alerts.change("silent:orders", later) is None


def test_channels_that_are_gone_are_forgotten(catalog: Catalog) -> None:
    look(catalog, AT, finding())
    catalog.alerts.forget_channels(["two"])
    assert [each.channel for each in catalog.alerts.messages()] == ["two"]


def test_heads_and_what_was_folded_come_back_and_a_rebuild_forgets_the_latter(catalog: Catalog) -> None:
    book = catalog.alerts
    entries = [
        Entry(table="raw_orders", number=number, previous=number - 1 or None, kind=EntryKind.LOAD, created_at=AT)
        for number in range(1, 8)
    ]
    catalog.index(entries)
    assert book.heads() == {"raw_orders": 7}
    assert [entry.number for entry in book.after("raw_orders", 4)] == [5, 6, 7]
    book.keep_folded({"raw_orders": b"{}", "(releases)": b"1"})
    book.keep_folded({"raw_orders": b"[]"})
    assert book.folded() == {"raw_orders": b"[]", "(releases)": b"1"}
    look(catalog, AT, finding())
    catalog.clear()
    assert book.folded() == {}
    assert len(book.alerts()) == 1


def test_a_lease_is_held_until_it_is_given_back_or_runs_out(catalog: Catalog) -> None:
    assert not catalog.held("shop")
    lease = catalog.acquire("shop", "elsewhere:1:1", 60)
    assert catalog.held("shop")
    catalog.release(lease)
    assert not catalog.held("shop")
    catalog.acquire("shop", "elsewhere:1:1", -1)
    assert not catalog.held("shop")
