"""Releases: candidates, their report, staging, the commit point, finishing forward, rollback."""
