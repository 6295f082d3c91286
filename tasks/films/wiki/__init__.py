"""Films from a wiki's Action API.

api_client       queries; the form of every answer is checked
site_and_pages   the name, clock and licence of a wiki; a page of it, and its film id
year_categories  the articles of a year's films
fetch_articles   articles by title, id or address: text, categories, image, last revision
failing_pages    a batch without the pages for which the wiki fails
"""
