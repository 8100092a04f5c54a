"""Relational databases that are read by one query each: what to ask is planned here, how to ask is a dialect's.

No driver may leak in: a dialect opens connections, spells constants and streams Arrow; it is one file per database.
"""
