"""Films from a wiki's Action API.

client       queries and downloads; the shape of every answer is checked
discovery    the articles of a year's films, and articles by title, id or address
changes      what changed since the last run; the plan of what one run fetches and commits
articles     articles: text, categories, image, last revision
"""
