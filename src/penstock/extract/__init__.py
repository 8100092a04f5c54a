"""Sources: how each kind of system is read. Knows nothing of lakes, warehouses or runs."""
