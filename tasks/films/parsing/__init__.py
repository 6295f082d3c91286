"""From wikitext to plot, tags, year, image and names."""
