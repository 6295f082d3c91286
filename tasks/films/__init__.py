"""Collect films: articles and images from a wiki's API or from an XML export, parsed and committed to the lake.

models   `Page`: what the Action API and an export have in common; keys and addresses of pages
polite_client  requests with retries, waits and a User-Agent; bounded answers
rate_limit     how many requests per minute
wiki/    the Action API: client, discovery of articles, change detection, the plan of a run
dump/    XML exports and dumps: reading them, and which of their pages are new
parsing/ wikitext to plot, tags, year, image, titles, credits and soundtrack albums
images/  which images are missing; thumbnails
commit   pages, albums, films and outcomes in the lake
stored_pages  what is in the lake already
stale_pages   which of it is parsed again
evidence looks up albums' articles and Wikidata ids
musicbrainz  a client of MusicBrainz; the soundtracks of films there
tasks    the Prefect tasks
"""
