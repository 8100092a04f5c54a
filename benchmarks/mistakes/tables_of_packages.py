"""Tables in which mistakes are made, cut out of data that packages ship, from the pizzas on."""

from __future__ import annotations

from benchmarks.mistakes.table import Table

PIZZA = Table(
    name="pizza",
    about="A pizza that a pizzeria sold, in 2015.",
    source="pizzaplace, package gt, MIT",
    held_out=True,
    sql="SELECT CAST(sold_at AS DATE) AS batch_day, * FROM read_parquet('{data}/pizza.parquet')",
    order="item",
    key=("item",),
    moment="sold_at",
    numbers=("price",),
    categories=("size", "kind"),
    texts=("pizza",),
    references={"pizza": ("pizzas", "pizza")},
    units={"price": "money"},
    dependent=(("pizza", "kind"),),
)

STOPS = Table(
    name="stops",
    about="Whom the police of Minneapolis stopped, where and what for, in 2017.",
    source="Minneapolis Police Stop Data, City of Minneapolis, as package carData has it",
    held_out=True,
    sql="SELECT CAST(stopped_at AS DATE) AS batch_day, * FROM read_parquet('{data}/stops.parquet')",
    order="stopped_at, stop",
    key=("stop",),
    moment="stopped_at",
    numbers=("lat", "lon"),
    categories=("problem", "reported_from", "person_searched", "vehicle_searched"),
    texts=("neighborhood",),
    references={"neighborhood": ("neighborhoods", "neighborhood")},
    place=("lat", "lon"),
)

SKY = Table(
    name="sky",
    about="An hour's sun, clouds and weather at Sand Point in Alaska, in a typical year.",
    source="Typical Meteorological Year 3, US National Renewable Energy Laboratory, as package pvlib 0.16.1 has it",
    held_out=False,
    sql="SELECT CAST(begins_at AS DATE) AS batch_day, * FROM read_parquet('{data}/sky.parquet')",
    order="begins_at",
    key=("begins_at",),
    moment="begins_at",
    numbers=(
        "cloud", "opaque_cloud", "global_irradiance", "direct_irradiance", "diffuse_irradiance", "temperature",
        "dew_point", "humidity", "wind_direction", "wind_speed", "visibility", "ceiling", "water",
    ),
    units={
        "temperature": "celsius", "dew_point": "celsius", "wind_speed": "speed", "visibility": "length",
        "ceiling": "length",
    },
    bounded=(("opaque_cloud", "cloud"), ("dew_point", "temperature")),
)  # fmt: skip

EMAILS = Table(
    name="emails",
    about="An email that came to an account in 2012, and what was counted in it.",
    source="email, package openintro, from the account of D. Diez, GPL 3",
    held_out=True,
    sql="SELECT CAST(sent_at AS DATE) AS batch_day, * FROM read_parquet('{data}/emails.parquet')",
    order="sent_at, message",
    key=("message",),
    moment="sent_at",
    numbers=("copied_to", "images", "attachments", "dollars", "kilo_characters", "line_breaks", "exclamations"),
    categories=("winner", "number_size"),
)

STRIKES = Table(
    name="strikes",
    about="A bird, or another animal, that an aircraft hit in the USA, in 1997.",
    source="National Wildlife Strike Database, US Federal Aviation Administration, public domain",
    held_out=False,
    sql="SELECT struck_on AS batch_day, * FROM read_parquet('{data}/strikes.parquet')",
    order="strike",
    key=("strike",),
    numbers=("mass_class", "engines", "height", "speed"),
    categories=("phase", "time_of_day", "sky", "birds_struck"),
    texts=("operator", "aircraft", "species"),
    references={"operator_code": ("operators", "operator_code")},
    units={"height": "length", "speed": "speed"},
    dependent=(("operator_code", "operator"),),
)

OXIDES = Table(
    name="oxides",
    about="A day's nitrogen oxides at one of 13 sites in Switzerland, in 2004.",
    source="ambientNOxCH, inLuft, NABEL and MFM-U, package robustbase, GPL 2 or later",
    held_out=True,
    sql="SELECT measured_on AS batch_day, * FROM read_parquet('{data}/oxides.parquet')",
    order="site",
    key=("site",),
    numbers=("nox",),
    references={"site": ("sites", "site")},
)

MOTORWAY = Table(
    name="motorway",
    about="An hour's nitrogen oxides beside a Swiss motorway, those of its cars, and the wind, in 2004.",
    source="NOxEmissions, R. Locher, package robustbase, GPL 2 or later",
    held_out=True,
    sql="SELECT CAST(measured_at AS DATE) AS batch_day, * FROM read_parquet('{data}/motorway.parquet')",
    order="measured_at",
    key=("measured_at",),
    moment="measured_at",
    numbers=("nox", "emitted", "wind_speed"),
    units={"wind_speed": "speed"},
)

PLAYS = Table(
    name="plays",
    about="A play of a game of the Los Angeles Lakers, 2008 to 2009; each day is one of a game.",
    source="lakers, package lubridate, GPL 2 or later",
    held_out=False,
    sql="SELECT played_on AS batch_day, * FROM read_parquet('{data}/plays.parquet')",
    order="play",
    key=("play",),
    numbers=("period", "seconds_left", "points", "x", "y"),
    categories=("event", "result", "team"),
    texts=("player", "detail"),
    references={"player": ("players", "player")},
)

WALKERS = Table(
    name="walkers",
    about="How many people walked past one of four sensors in Melbourne in an hour of 2015.",
    source="Pedestrian Counting System, City of Melbourne, as package tsibble has it, CC BY 4.0",
    held_out=True,
    sql="SELECT CAST(counted_at AS DATE) AS batch_day, * FROM read_parquet('{data}/walkers.parquet')",
    order="counted_at, sensor",
    key=("sensor", "counted_at"),
    moment="counted_at",
    numbers=("people",),
    categories=("sensor",),
    references={"sensor": ("sensors", "sensor")},
    redundant=("hour",),
)

GLUCOSE = Table(
    name="glucose",
    about="About every five minutes of the glucose in the blood of somebody, by a sensor, in 2010.",
    source="Continuous glucose monitoring, package bokeh_sampledata 2026.1, BSD",
    held_out=False,
    sql="SELECT CAST(measured_at AS DATE) AS batch_day, * FROM read_parquet('{data}/glucose.parquet')",
    order="measured_at",
    key=("measured_at",),
    moment="measured_at",
    numbers=("signal", "glucose"),
)

THEFTS = Table(
    name="thefts",
    about="A vehicle that was stolen in New York, by the middle of the time in which that can have been, in 2015.",
    source="Crime Open Database, M. Ashby, from the police of New York, package crimedata 0.3.5, MIT",
    held_out=True,
    sql="SELECT CAST(stolen_at AS DATE) AS batch_day, * FROM read_parquet('{data}/thefts.parquet')",
    order="stolen_at, theft",
    key=("theft",),
    moment="stolen_at",
    numbers=("lat", "lon"),
    categories=("kind",),
    texts=("location",),
    references={"location": ("locations", "location")},
    dependent=(("location", "kind"),),
    place=("lat", "lon"),
)
