"""Versions of the data set: written once, exported, compared."""
