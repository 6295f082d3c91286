"""Music cue by cue: a script or a list of scenes becomes a cue sheet and timelines for an editing system.

timecode               frames and time codes at the rates of film and video
fountain               screenplays → scenes
scene_list             a CSV list with time codes → scenes; where each is in the film, and how long it is
script                 a file of either kind, or plain text → its scenes
suggest_tracks         scenes → tracks of libraries, none twice, with the second at which each starts
cue_files              the cue sheet (CSV and a page to print), OpenTimelineIO and CMX3600 edit decision lists
"""
