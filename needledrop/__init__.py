"""The command line: every flow and every look into the lake as a person would type it."""

__version__ = "0.1.0"
