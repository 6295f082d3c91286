"""Write the invented films as a MediaWiki XML export.

articles  wikitext (infobox, plot, categories), also of pages that are not usable films
export    the XML of the pages
"""
