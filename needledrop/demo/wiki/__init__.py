"""Write the invented films as a MediaWiki XML export."""
