"""Events of OpenLineage: valid by the classes of its own client, sent to real receivers, and never in a run's way."""

from __future__ import annotations

import importlib
import json
import socket
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from shop_runs import SETTINGS

from penstock.errors import ConfigurationError
from penstock.model.events import Event, Waiting
from penstock.model.receipts import State
from penstock.project import Project
from servers.hooks import hook
from servers.kafka import KafkaServer

SHOP = """
from penstock import Pipeline, checks, sources, sql
shop = Pipeline(
    name="shop", schedule="@daily", start="2024-01-01", end="2024-01-03",
    sources=[sources.files("orders/*.csv", table="orders", event_time="day")],
    checks={"orders": [checks.between("price", 0, 100, severity="quarantine"), checks.not_null("id")]},
    transforms=[
        sql("daily", interval="day", text="SELECT day, sum(price) * 2 AS twice FROM orders "
            "WHERE day >= :interval_start AND day < :interval_end GROUP BY ALL"),
    ],
)
"""


def project(folder: Path, to: str, said: list[str] | None = None, **more: object) -> Project:
    lines = [f"events = {to!r}", *(f"{name} = {value!r}" for name, value in more.items())]
    (folder / "penstock.toml").write_text(SETTINGS + "\n[lineage]\n" + "\n".join(lines).replace("'", '"') + "\n")
    (folder / "pipeline.py").write_text(SHOP)
    (folder / "orders").mkdir(exist_ok=True)
    (folder / "orders/1.csv").write_text("id,day,price\n1,2024-01-01,10\n2,2024-01-02,20\n3,2024-01-02,777123\n")

    def hear(event: Event) -> None:
        if isinstance(event, Waiting) and said is not None:
            said.append(event.sentence)

    return Project(folder, observer=hear)


_PLACES = {
    "schema": "schema_dataset:SchemaDatasetFacet",
    "columnLineage": "column_lineage_dataset:ColumnLineageDatasetFacet",
    "version": "dataset_version_dataset:DatasetVersionDatasetFacet",
    "dataQualityAssertions": "data_quality_assertions_dataset:DataQualityAssertionsDatasetFacet",
    "outputStatistics": "output_statistics_output_dataset:OutputStatisticsOutputDatasetFacet",
    "sql": "sql_job:SQLJobFacet",
    "parent": "parent_run:ParentRunFacet",
    "errorMessage": "error_message_run:ErrorMessageRunFacet",
    "nominalTime": "nominal_time_run:NominalTimeRunFacet",
}
_WITHIN = {
    "fields": {"schema": "schema_dataset:SchemaDatasetFacetFields", "columnLineage": "column_lineage_dataset:Fields"},
    "assertions": {"dataQualityAssertions": "data_quality_assertions_dataset:Assertion"},
}


def generated(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(f"openlineage.client.generated.{module}"), name)


def valid_facets(facets: dict[str, Any]) -> None:
    """Make each facet by its generated class, which refuses what the specification does not have, or lacks."""
    for name, facet in facets.items():
        kind = generated(_PLACES[name])
        assert facet["_schemaURL"] == kind._get_schema()
        assert facet["_producer"]
        fields = {key: value for key, value in facet.items() if key not in ("_producer", "_schemaURL")}
        for key, kinds in _WITHIN.items():
            if key in fields and name in kinds:
                within = fields[key].values() if isinstance(fields[key], dict) else fields[key]
                for each in within:
                    generated(kinds[name])(**each)
        if name == "columnLineage":
            for each in fields["fields"].values():
                for one in each["inputFields"]:
                    generated("column_lineage_dataset:InputField")(**one)
        if name == "parent":
            fields = {
                "run": generated("parent_run:Run")(**fields["run"]),
                "job": generated("parent_run:Job")(**fields["job"]),
            }
        kind(**fields)


def valid(event: dict[str, Any]) -> None:
    base = importlib.import_module("openlineage.client.generated.base")
    given = dict(event)
    UUID(given["run"]["runId"])
    valid_facets(given["run"]["facets"])
    valid_facets(given["job"]["facets"])
    given["run"], given["job"] = base.Run(**given["run"]), base.Job(**given["job"])
    for name, kind, beside in (
        ("inputs", base.InputDataset, "inputFacets"),
        ("outputs", base.OutputDataset, "outputFacets"),
    ):
        for each in given[name]:
            valid_facets(each["facets"])
            valid_facets(each.get(beside, {}))
        given[name] = [kind(**each) for each in given[name]]
    assert given.pop("schemaURL") == base.RunEvent._get_schema()
    given["eventType"] = base.EventType(given["eventType"])
    base.RunEvent(**given)


def test_events_are_valid_and_tell_columns_checks_and_files(tmp_path: Path) -> None:
    with project(tmp_path, "out/lineage.jsonl") as opened:
        assert opened.run().state is State.DONE
        assert opened.run().state is State.UNCHANGED
    text = (tmp_path / "out/lineage.jsonl").read_text()
    events = [json.loads(line) for line in text.splitlines()]
    for event in events:
        valid(event)
    assert [event["eventType"] for event in events] == ["START", "COMPLETE", "COMPLETE", "COMPLETE", "COMPLETE"]
    landed, first = events[1], events[2]
    assert landed["job"]["name"] == "shop.extract.orders"
    assert [Path(each["name"]).name for each in landed["inputs"]] == ["1.csv"]
    assert landed["outputs"][0]["facets"]["dataQualityAssertions"]["assertions"] == [
        {"assertion": "not_null(id)", "success": True},
        {"assertion": "between(price)", "success": False, "severity": "quarantine"},
    ]
    assert first["run"]["facets"]["parent"]["run"]["runId"] == events[0]["run"]["runId"]
    assert first["outputs"][0]["facets"]["columnLineage"]["fields"] == {
        "day": {"inputFields": [{"namespace": "shop", "name": "raw_orders", "field": "day"}]},
        "twice": {"inputFields": [{"namespace": "shop", "name": "raw_orders", "field": "price"}]},
    }
    # The row that was set aside has this value.
    assert "777123" not in text


def test_a_failed_run_is_told_as_such(tmp_path: Path) -> None:
    with project(tmp_path, "lineage.jsonl", namespace="prod") as opened:
        (tmp_path / "pipeline.py").write_text(SHOP.replace("sum(price)", "error('no')::INT"))
        assert opened.run().state is State.FAILED
    events = [json.loads(line) for line in (tmp_path / "lineage.jsonl").read_text().splitlines()]
    for event in events:
        valid(event)
    assert events[-1]["eventType"] == "FAIL"
    assert "no" in events[-1]["run"]["facets"]["errorMessage"]["message"]
    assert {event["job"]["namespace"] for event in events} == {"prod"}


@pytest.mark.parametrize(
    ("to", "more", "said"),
    [
        ("https://example.com/events", {"token": "t0p"}, r"lineage\.token in .* is no reference to a variable"),
        ("https://example.com/events", {"token": "${NONE:-t0p}"}, r"lineage\.token in .* is no reference"),
        ("http://example.com/events", {"token": "${LINEAGE_TOKEN}"}, "in the clear"),
        ("https://me:pass@example.com/events", {}, "holds a user or a password"),
    ],
)
def test_a_token_that_is_written_down_or_goes_in_the_clear_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str, more: dict[str, object], said: str
) -> None:
    monkeypatch.setenv("LINEAGE_TOKEN", "t0p")
    with pytest.raises(ConfigurationError, match=said) as raised:
        project(tmp_path, to, **more)
    assert "t0p" not in str(raised.value)


def test_events_go_over_http_with_their_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINEAGE_TOKEN", "t0p")
    said: list[str] = []
    with hook() as receiver:
        receiver.status = 201
        with project(tmp_path, receiver.url, said, token="${LINEAGE_TOKEN}", wait=30) as opened:
            opened.run()
    assert len(receiver.got) == 5
    assert {headers["Authorization"] for headers, _ in receiver.got} == {"Bearer t0p"}
    for _, event in receiver.got:
        valid(event)
    assert said == []


def test_a_receiver_that_refuses_is_told_and_harms_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    with hook() as receiver:
        receiver.status = 503
        with project(tmp_path, receiver.url, said, wait=30) as opened:
            assert opened.run().state is State.DONE
    assert "refused by 127.0.0.1" in said[0]
    assert "503" in said[0]


def test_a_receiver_that_never_answers_holds_up_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with project(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}/x", said, wait=0.3) as opened:
            begun = time.monotonic()
            assert opened.run().state is State.DONE
            took = opened.runs()[0].finished
            assert took is not None
        assert time.monotonic() - begun < 60
    assert ["were not sent within 0.3 s" in sentence for sentence in said] == [True]


def test_events_go_to_kafka(tmp_path: Path, kafka: KafkaServer) -> None:
    from confluent_kafka import Consumer

    kafka.create("lineage")
    said: list[str] = []
    with project(tmp_path, f"kafka://{kafka.hosts}/lineage", said, wait=30) as opened:
        opened.run()
    assert said == []
    reader = Consumer({"bootstrap.servers": kafka.hosts, "group.id": "test", "auto.offset.reset": "earliest"})
    reader.subscribe(["lineage"])
    got = [message for message in reader.consume(5, timeout=30) if message.error() is None]
    reader.close()
    assert [json.loads(message.value())["eventType"] for message in got] == ["START", *["COMPLETE"] * 4]


def test_an_address_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"of no kind that events can be sent to.*ftp"):
        project(tmp_path, "ftp://host/x")
