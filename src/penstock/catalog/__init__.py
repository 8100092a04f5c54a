"""The index over the lake, and the home of leases. Nothing here is the truth but the leases."""
