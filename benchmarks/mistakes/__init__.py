"""A hundred mistakes, made in real tables one at a time, and how many of them are noticed before promotion."""
