"""Append-only Parquet tables."""
