"""Write the invented films as a MediaWiki XML export.

export        articles in wikitext (infobox, plot, categories) and the XML of pages
distractors   pages that are not usable films: without a plot, without a year, lists, redirects, …
"""
