"""Rows about work and decisions, kept in the lake's tables.

outcomes        one row per attempt at an item, with a reason from a closed list; which items are due
review_answers_and_agreement   people's answers about matches: which one counts, precision, agreement of raters
flow_runs       which flow ran, with which parameters, and how it ended
"""
