"""Landing: rows of an extraction become one committed load of the raw zone, unchanged."""
