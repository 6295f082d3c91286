"""Turn a film's recordings into a mel shard in worker processes."""
