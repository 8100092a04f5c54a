"""Profiles: what the values of a table look like, in figures and sketches that merge without reading data again.

Pure values and arithmetic. Nothing here runs SQL, reads a file or knows what a check, a load or a release is.
"""
