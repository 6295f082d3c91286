"""Rows about work and decisions, kept in the lake's tables.

outcomes        one row per attempt at an item, with a reason from a closed list; which items are due
reviews         the user's answers about doubtful matches
takedown_list   films, recordings and channels that must not be collected
flow_runs       which flow ran, with which parameters, and how it ended
"""
