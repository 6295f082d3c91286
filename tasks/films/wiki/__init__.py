"""Films from a wiki's Action API.

api_client              queries; the form of every answer is checked
site                    the name, clock and licence of a wiki
year_categories         the articles of a year's films
titles_and_addresses    the articles that titles, ids and addresses name
changes_since_last_run  what changed since the last run; the plan of what one run fetches and commits
fetch_articles          articles: text, categories, image, last revision
failing_pages           a batch without the pages for which the wiki fails
"""
