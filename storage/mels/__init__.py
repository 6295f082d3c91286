"""Mel shards: one Parquet file per film, one row per 9.92 s segment.

shard_format    paths, columns, the byte offset of each row, the SHA-256 of footer and pages
settings        the parameters in a shard's metadata, the encoding of a lake, stored values to decibels
writer          write a shard, or write it again with more recordings
reader          gather segments from many memory-mapped shards; read a whole shard and the `tracks` rows that it carries
verify_shards   find damage in a shard and disagreement with the `tracks` table
"""
