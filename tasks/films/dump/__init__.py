"""Films from a MediaWiki XML export or dump.

reader     stream the pages of a file
new_pages  the pages that the lake lacks, in batches
"""
