"""Checks over just the new rows, the profile of them, and the quarantine."""
