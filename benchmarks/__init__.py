"""Measures Penstock beside the same work done by hand, in one run; no library code lives here."""
