"""Compose, perform and encode the invented music.

score         compose a track from the mood of its film: notes and drum hits
synthesis     synthesise notes, hits and background noises, and play a score: mix, reverberation, loudness
music_files   plan the music folder, defective files included, and encode its files
"""
