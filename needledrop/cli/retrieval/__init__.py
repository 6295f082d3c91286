"""Commands that find music for a film: that of the data set, and the user's own.

search          a film's plot, tags and image against the data set, or against the user's own music
search_options  what a search is given, as typed and read: film, filters, a run or an encoder, recordings
library         add, index, list, show, verify and remove the user's own music
cues            music for each scene of a script
studio          the page to search, listen and keep
"""
