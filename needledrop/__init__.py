"""What a user touches.

cli      the `needledrop` command
report   the HTML page of results
demo     the invented corpus of `needledrop demo`
"""

__version__ = "0.1.0"
