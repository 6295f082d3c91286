"""Films from a wiki's Action API.

client       queries and downloads
answers      the shape of every answer is checked
site         the name, clock and licence of a wiki
titles       the pages that titles lead to
discovery    the articles of a year's films, and articles by title, id or address
changes      what changed since the last run; the plan of what one run fetches and commits
articles     articles: text, categories, image, last revision
"""
