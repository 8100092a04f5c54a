"""The yard of the shop: parcels as nested JSON whose weights get fractions, visits as CSV with odd lines."""

from penstock import Pipeline, checks, sources, sql

yard = Pipeline(
    name="yard",
    sources=[
        sources.files("parcels/*.jsonl", table="parcels", key="id", write="merge", nested="tables"),
        sources.files("visits/*.csv", table="visits", write="append"),
    ],
    checks={"parcels": [checks.between("weight", 0, 100, severity="quarantine")]},
    transforms=[sql("loaded.sql")],
    profiled=["visits", "loaded"],
)
