"""Mel shards: settings, writer, reader, rewriting, checksums, verification."""
