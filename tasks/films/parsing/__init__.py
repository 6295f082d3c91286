"""Parse wikitext; no network, no lake.

article             the parsed article: film or not, tags, year
infobox             the infobox: image, release date, native name
plot                the plot section
credits             names and languages in a parameter
dates               dates as ISO 8601
imdb_ids            the film's IMDb id
listings            soundtrack albums: boxes, track listings, the album's article
track_lists         tracks in lists and tables
track_lengths       the length of a track
plain_text          wikitext to plain paragraphs
templates           the words that templates contribute
alternative_titles  other titles in the first sentence
"""
