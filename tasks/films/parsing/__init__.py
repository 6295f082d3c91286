"""Parse wikitext; no network, no lake.

article             the parsed article: film or not, tags, year
infobox             the infobox: image, release date, native name
plot                the plot section
plain_text          wikitext to plain paragraphs
templates           the words that templates contribute
alternative_titles  other titles in the first sentence
"""
