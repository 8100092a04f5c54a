"""Observers: what changed between two profiles, and whether that is more than chance. It reads no data."""
