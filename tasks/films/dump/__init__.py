"""Films from a MediaWiki XML export."""
