"""Commands that find music for a film: that of the data set, and the user's own.

search          a film's plot, tags and image against the data set; search_library: against the user's own music
library         add, index and remove the user's own music; library_show: list, show and verify it
cues            music for each scene of a script
studio          the page to search, listen and keep
"""
