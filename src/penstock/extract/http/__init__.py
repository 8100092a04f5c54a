"""One way to call an HTTP server: retries, a shared call budget, bounds of time and size, secrets out of sight.

Everything that speaks HTTP goes through ``client.HttpClient``. Nothing here knows a pager, a table or a column.
"""
