"""Streams: readers of messages that never end, and what turns their bytes into rows.

A reader knows offsets and nothing of lakes; decoding knows bytes and nothing of brokers. Where reading resumes is told
from above: neither keeps a position of its own.
"""
