"""Decode audio and compute mel-spectrograms and fingerprints. Signals only: nothing here reads or writes the lake.

file_suffixes_ids_and_tags  which files are audio, their ids and their tags
decode          any recording as mono samples at one sample rate
melspectrogram  segments, their mel power by a compiled short-time Fourier transform, decibels, quantised mels
descriptors     loudness, tempo, energy, brightness and silence of a recording
fingerprint     words and a contour of a recording; whether two recordings are one; a hash of samples
"""
