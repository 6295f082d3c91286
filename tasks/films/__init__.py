"""Collect films: articles and images from a wiki's API or from an XML export, parsed and committed to the lake.

models   `Page`: what the Action API and an export have in common; keys and addresses of pages
polite_client  requests with a rate limit, retries, waits and a User-Agent; bounded answers
wiki/    the Action API: client, discovery of articles, change detection, the plan of a run
dump/    XML exports and dumps: reading them, and which of their pages are new
parsing/ wikitext to plot, tags, year, image, titles, credits and soundtrack albums
images/  which images are missing; thumbnails
commit   pages, films and outcomes in the lake
tasks    the Prefect tasks
"""
