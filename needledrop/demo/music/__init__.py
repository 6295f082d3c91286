"""Compose, perform and encode the invented music.

score         compose a track from the mood of its film: notes and drum hits
instruments   synthesise one note, one hit, one background noise
mixing        play a score: mix, reverberation, loudness
tracks        plan the music folder, defective files included, and encode its files
"""
