"""What is read, checked, transformed and promoted."""

from penstock import Pipeline, checks, sources, sql

example = Pipeline(
    name="example",
    sources=[
        # Every run reads the file anew and replaces the table, if the file has changed.
        sources.files("data_in/orders.csv", table="orders", write="replace"),
    ],
    checks={
        "orders": [
            checks.unique("order_id"),  # fails: the load is rejected
            checks.between("amount", 0, 10_000, severity="quarantine"),  # fails: the row is set aside
        ],
    },
    transforms=[sql("revenue.sql")],  # the tables it names are its inputs
    promote=["revenue"],
)
