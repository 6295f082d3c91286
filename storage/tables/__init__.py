"""Append-only Parquet tables, where the newest row of a key counts.

schemas   the Arrow schema of every table
tables    append rows, read the newest ones, connect DuckDB to the lake, open a lake with its tables
parts     the part files of a table: names, order, and compaction of many small ones
"""
