"""Compose, perform and encode the invented music.

score         compose a track from the mood of its film: notes and drum hits
instruments   synthesise one note, one hit, one background noise
tracks        plan the music folder, defective files included; play the scores and encode its files
"""
