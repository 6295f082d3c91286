"""Append-only Parquet tables, where the newest row of a key counts.

schemas   the Arrow schema of every table
tables    append rows, read the newest ones, open a lake with its tables; parts, and compaction of many small ones
duckdb_connection  connect DuckDB to the lake, with limits of memory
"""
