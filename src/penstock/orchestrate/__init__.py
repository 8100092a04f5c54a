"""Planning, purely; and running: a plan becomes receipts. The only writer of the catalog."""
