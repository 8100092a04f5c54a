"""File formats beyond CSV, JSON and Parquet, one file each: from a file to Arrow batches or to a scan of DuckDB.

``known`` says which there are, ``port`` what each is to the source kind ``files``. Which files a path means, which of
them are new and what a position remembers is not known here.
"""
