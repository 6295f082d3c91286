"""Parse wikitext; no network, no lake.

article            the parsed article: film or not, tags, year
infobox            the infobox: image, release date, languages, native name
plot               the plot section
names_and_dates    names and dates in a parameter
alternative_titles_and_imdb_id  other titles in the first sentence; the film's IMDb id
soundtrack_albums  soundtrack albums: boxes, which track lists are one album, the album's own article
track_lists        an album's listing; tracks in templates, lists and tables; their lengths
plain_text         wikitext to plain paragraphs
templates          the parameters of templates, and the words that they contribute
"""
