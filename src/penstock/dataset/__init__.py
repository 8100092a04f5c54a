"""Training sets: labels, features as they were known, splits, shards, checksums."""
