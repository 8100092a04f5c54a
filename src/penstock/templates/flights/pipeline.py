"""Departures from New York in 2013: from four source systems to a release and a training set."""

from steps import routes

from penstock import Pipeline, checks, feature, sources, split_by, sql, training_set

flights = Pipeline(
    name="flights",
    schedule="@daily",
    start="2013-01-01",
    end="2014-01-01",
    sources=[
        sources.sql(
            "ops",
            table="flights",
            interval="time_hour",
            key=["carrier", "flight", "origin", "time_hour", "sched_dep_time"],
            write="merge",
        ),
        sources.sql("ops", table="airlines", write="replace"),
        sources.rest(
            "weather_api",
            path="/observations",
            table="weather",
            interval="time_hour",
            options={"interval": {"start": "from", "end": "to"}},
        ),
        sources.files(
            "planes/*.csv", connection="files", table="planes", write="replace", options={"csv": {"nulls": ["NA"]}}
        ),
        sources.files("airports.json", connection="files", table="airports", write="replace"),
    ],
    checks={
        "flights": [
            checks.not_null("carrier", "flight", "origin", "time_hour", "sched_dep_time"),
            checks.unique("carrier", "flight", "origin", "time_hour", "sched_dep_time"),
            checks.row_count(min=500),
            checks.in_set("origin", ["EWR", "JFK", "LGA"]),
            checks.not_null("tailnum", severity="quarantine", name="plane_is_known"),
            checks.between("dep_delay", -60, 1000, severity="quarantine"),
            checks.expression(
                "air_time IS NOT NULL OR arr_time IS NULL", severity="quarantine", name="flew_if_arrived"
            ),
            checks.expression("dep_time IS NOT NULL OR arr_time IS NULL", severity="error", name="left_if_arrived"),
            checks.references("dest", "airports.faa", severity="warn"),
            checks.references("tailnum", "planes.tailnum", severity="warn"),
        ],
        "weather": [
            checks.not_null("origin", "time_hour"),
            checks.between("humid", 0, 100, severity="quarantine"),
            checks.between("wind_speed", 0, 150, severity="quarantine"),
        ],
        "planes": [checks.unique("tailnum")],
        "departures": [
            checks.not_null("origin", "dest", "scheduled_at"),
            checks.matches("tailnum", "^N[0-9A-Z]+$", severity="warn"),
            checks.between("distance", 1, 10_000),
        ],
        "delays": [checks.unique("day", "carrier", "origin"), checks.between("share_late", 0, 1)],
    },
    transforms=[
        sql("departures.sql", interval="time_hour"),
        sql("hourly_weather.sql", interval="time_hour"),
        sql("delays.sql"),
        routes,
    ],
    datasets=[
        training_set(
            "delay",
            from_="departures",
            label="dep_delay > 15",
            label_name="late",
            event_time="scheduled_at",
            columns=[
                "carrier",
                "flight",
                "tailnum",
                "origin",
                "dest",
                "scheduled_at",
                "distance",
                "plane_year",
                "seats",
            ],
            features=[
                feature(
                    "hourly_weather",
                    on="origin",
                    event_time="time_hour",
                    available_after="1h",
                    expires_after="6h",
                    columns=["temp", "wind_speed", "precip", "visib"],
                    prefix="weather_",
                )
            ],
            split=split_by("tailnum", train=0.8, test=0.2),
            rows_per_shard=20_000,
        )
    ],
    promote=["departures", "hourly_weather", "delays", "routes"],
)
