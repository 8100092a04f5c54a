"""Loading: entries of the lake are applied to the warehouse, once, in any order."""
