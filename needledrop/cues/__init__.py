"""Music cue by cue: a script or a list of scenes becomes a cue sheet and timelines for an editing system.

timecode      frames and time codes at the rates of film and video
scenes        plain text → scenes
script_pages  lines on a page of a script, and how long what they say lasts
fountain      screenplays → scenes
scene_list    a CSV list with time codes → scenes
script        a file of either kind → its scenes
placement     where each scene is in the film, and how long it is
assignment    tracks divided among scenes, none twice
suggest       scenes → tracks of libraries, with the second at which each starts
sheet         the cue sheet: CSV and a page to print
timeline      OpenTimelineIO and CMX3600 edit decision lists
files         the files that are written, in place of an earlier run's
"""
