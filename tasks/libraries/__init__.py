"""Bring a user's own music into a library of the lake; the files themselves are only read.

scan    which files there are, which are new, changed, moved or gone, and what their tags say
index   decode files, have their tracks embedded for a run, and commit what is known of them
reference_recording   decode a recording that music should sound like, of which nothing is kept
"""
