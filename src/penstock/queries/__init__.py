"""Queries as text: quoted names, literals, relations over files, edges read from users' SQL.

Knows no table, column or rule of Penstock's own beyond the names in ``penstock.names``.
"""
