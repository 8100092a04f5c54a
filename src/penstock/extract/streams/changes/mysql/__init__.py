"""The changes of MariaDB: its binary log in row format, read as a replica reads it."""
