"""Sensors of a plant over MQTT: each reading once, with the plate of its sensor, and a sensor that fell silent."""

from __future__ import annotations

from penstock import Pipeline, checks, sources, sql

_MOMENT = {"each": {"measured_at": "TIMESTAMP WITH TIME ZONE"}}

sensors = Pipeline(
    name="sensors",
    sources=[
        sources.mqtt(
            "plant",
            topics="plant/+/heat",
            table="readings",
            # With quality of service 1 a reading may come twice; its number tells.
            id="reading",
            event_time="measured_at",
            contract=_MOMENT,
            stream={"every": "1s"},
        ),
        # What a sensor is, it has published once, retained: the broker gives the newest plate of each.
        sources.mqtt(
            "plant", topics="plant/+/plate", table="plates", key="_topic", write="merge", stream={"every": "1s"}
        ),
    ],
    checks={
        "readings": [
            checks.not_null("measured_at", "celsius", severity="quarantine"),
            checks.between("celsius", -60, 900, severity="quarantine"),
        ],
        # A row here is a sensor that is silent: the version is rejected, and `penstock alerts` tells of it.
        "silent": [checks.row_count(max=0, name="all sensors speak")],
    },
    transforms=[
        sql(
            "latest",
            text="""
                SELECT split_part(r._topic, '/', 2) AS sensor, any_value(p.place) AS place,
                    max(r.measured_at) AS measured_at, arg_max(r.celsius, r.measured_at) AS celsius
                FROM readings r LEFT JOIN plates p ON split_part(p._topic, '/', 2) = split_part(r._topic, '/', 2)
                GROUP BY ALL
            """,
        ),
        sql(
            "silent",
            # Each sensor is measured by its own history: three times its usual pause, once six pauses are known.
            text="""
                WITH pauses AS (
                    SELECT split_part(_topic, '/', 2) AS sensor, measured_at,
                        epoch(measured_at - lag(measured_at) OVER (PARTITION BY _topic ORDER BY measured_at)) AS pause
                    FROM readings
                ), usual AS (
                    SELECT sensor, max(measured_at) AS last_reading, median(pause) AS pause FROM pauses
                    GROUP BY sensor HAVING count(pause) >= 6
                )
                SELECT sensor, last_reading, pause AS usual_pause, epoch(newest.measured_at - last_reading) AS pause
                FROM usual, (SELECT max(measured_at) AS measured_at FROM readings) newest
                WHERE epoch(newest.measured_at - last_reading) > 3 * usual.pause
            """,
        ),
    ],
)
