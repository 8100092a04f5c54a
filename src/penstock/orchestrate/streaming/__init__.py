"""Streams at work: micro-batches that go through the stages of runs, one after the other, without end.

What a micro-batch is made of is decided here; how messages are read and decoded is not.
"""
