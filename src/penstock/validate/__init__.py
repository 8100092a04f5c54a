"""Checks over just the new rows, the profile of them, and the quarantine. It never asks a source, nor the catalog."""
