"""Mel shards: one Parquet file per film, one row per 9.92 s segment.

settings_and_shard_format   settings of mels; paths, columns, row groups, offsets and checksums of a shard
writer          write a shard, or write it again with more recordings
reader          segments from many memory-mapped shards; decibels; a whole shard and its `tracks` rows
verify_shards   find damage in a shard and disagreement with the `tracks` table
"""
