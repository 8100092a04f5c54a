"""Transforms: SQL and functions from tables to tables, and the edges between them."""
