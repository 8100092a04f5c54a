"""Reading the changes that databases commit: rows and positions; what becomes of tables is not decided here."""
