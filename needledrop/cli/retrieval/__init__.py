"""Commands that find music for a film: that of the data set, and the user's own.

search          a film's plot, tags and image against the data set; search_library: against the user's own music
filters         ranges and lengths that tracks must have, as typed
library         add, index and remove the user's own music; library_show: list and show it; library_verify
cues            music for each scene of a script
studio          the page to search, listen and keep
"""
