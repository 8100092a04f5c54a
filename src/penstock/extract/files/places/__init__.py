"""Where files lie: object stores, web servers and SFTP servers, each with one way to list and to stream.

What the bytes mean (CSV, archives, compression) must not leak into it, nor what was read before.
"""
