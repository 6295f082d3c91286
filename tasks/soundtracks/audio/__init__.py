"""Decode audio and compute mel-spectrograms and fingerprints. Signals only: nothing here reads or writes the lake.

decode          any recording as mono samples at one sample rate
stft            mel power of a segment by a compiled short-time Fourier transform
melspectrogram  segments, decibels and quantised mels
fingerprint     words and a contour of a recording, and the comparison of two recordings at an offset
"""
