"""Parse wikitext; no network, no lake.

article             the parsed article: film or not, tags, year
infobox             the infobox: image, release date, native name
plot                the plot section
credits             names in a parameter, dates, the IMDb id
listings            soundtrack albums: boxes, track listings, the album's article
plain_tracks        tracks in lists and tables; a track's length and title
plain_text          wikitext to plain paragraphs
templates           the words that templates contribute
alternative_titles  other titles in the first sentence
"""
