"""Releases: candidates, their report, staging, the commit point, finishing forward, rollback.

A release is a frozen set of versions that production serves whole. Nothing of how versions are made, of schedules or of
the catalog may leak in here: a candidate and a decision come in, a release comes out.
"""
