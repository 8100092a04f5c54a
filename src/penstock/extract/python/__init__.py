"""Python iterables, DataFrames and Arrow data."""
