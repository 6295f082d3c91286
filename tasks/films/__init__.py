"""Collect films: articles and images from a wiki's API or from an XML export, parsed and committed to the lake.

rate_limited_http  requests within a rate limit, with retries, waits and a User-Agent; bounded answers
wiki/              the Action API: client, discovery of articles, pages and their text
changes_since_last_run  what changed on a wiki; the plan of what one run fetches and commits
xml_export         XML exports and dumps: reading them, and which of their pages are new
parsing/           wikitext to plot, tags, year, image, titles, credits and soundtrack albums
images             which images are missing; download, or a folder; thumbnails
commit             pages, albums, films and outcomes in the lake
stored_pages       what is in the lake already, and which of it is parsed again
album_articles_and_wikidata  looks up albums' articles and Wikidata ids
musicbrainz        a client of MusicBrainz; the soundtracks of films there
tasks              the Prefect tasks
"""
