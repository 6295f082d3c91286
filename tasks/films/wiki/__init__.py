"""Films from a wiki's Action API.

client       requests with retries; the User-Agent
rate_limit   the token bucket
concurrency  one run at a time, by a concurrency limit of the Prefect server
discovery    the articles of a year's films, and articles by title, id or address
changes      what changed since the last run; the plan of what one run fetches and commits
articles     articles: text, categories, image, last revision
"""
