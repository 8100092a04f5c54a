"""The hundred mistakes, a module per family: each a SELECT over the batch; how it might be found is not looked at."""
