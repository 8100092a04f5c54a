"""The kinds of checks: a file for those that are judged alike. Each knows the SQL of its kinds, and none of the others.

Nothing here decides what a failure does, writes a quarantine or knows about the lake.
"""
