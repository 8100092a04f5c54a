"""Schedules: what is due, what is begun, and how that survives. Nothing of what a run does inside must leak in here."""
