"""Webhooks: events that others post are verified, written durably, answered, and then read as a stream.

An inbox takes events and writes them to segments, files whose names are their offsets; a reader of the stream port
reads those. The two share nothing but the segments, so that either may die. No HTTP is spoken here: that is ``web``.
"""
