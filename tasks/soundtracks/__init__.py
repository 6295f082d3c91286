"""Soundtracks: found, judged, fetched, decoded and turned into mel-spectrograms."""
