"""Write the invented films as a MediaWiki XML export.

export   articles in wikitext (infobox, plot, categories), pages that are not usable films, and the XML of both
"""
