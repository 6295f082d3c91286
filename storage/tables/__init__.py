"""Append-only Parquet tables, where the newest row of a key counts.

schemas   the Arrow schema of every table
tables    append rows, read the newest ones, open a lake with its tables
duckdb_connection  connect DuckDB to the lake, with limits of memory
query_signals  a signal during a query, which DuckDB would drop
parts     the part files of a table: names, order, and compaction of many small ones
"""
