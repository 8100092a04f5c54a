"""Finding out how a CSV file is written: encoding, dialect, header and table. Reads samples, never the whole file."""
