"""Checks that the recent loads of a table suggest: what held in all of them, as code to edit.

Looks at rows through a connection and returns suggestions; it runs no check, knows no lake and no pipeline.
"""
