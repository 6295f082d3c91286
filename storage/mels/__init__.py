"""Mel shards: one Parquet file per film, one row per 9.92 s segment.

layout      paths, columns, and the byte offset of each row
checksums   the SHA-256 of footer and pages in a finished file
settings    the parameters in a shard's metadata, the encoding of a lake, stored values to decibels
writer      write a shard; read the `tracks` rows that it carries; rewrite it: blank a recording (takedown), append some
reader      gather segments from many memory-mapped shards
verify      find damage in a shard and disagreement with the `tracks` table
"""
