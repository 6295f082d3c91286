"""What a user touches.

cli      the `needledrop` command
report   the HTML page of results
cues     music cue by cue: scripts, cue sheets, timelines
studio   the local page and JSON API
service  what a Prefect server is given, `needledrop serve`, checks of the containers
demo     the invented corpus of `needledrop demo`
"""

__version__ = "0.1.0"
