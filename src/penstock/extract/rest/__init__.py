"""Endpoints of HTTP APIs as a source: pages in, Arrow out.

Pagers decide and do no I/O; calls are made by ``penstock.extract.http`` alone. Nothing here knows a lake or a table.
"""
