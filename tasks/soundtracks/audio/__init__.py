"""Decode audio and compute mel-spectrograms and fingerprints. Signals only: nothing here reads or writes the lake.

file_suffixes_and_tags  which files are audio, their ids and their tags
decode                  any recording as mono samples at one sample rate
stft                    mel power of a segment by a compiled short-time Fourier transform
melspectrogram          segments, decibels and quantised mels
descriptors             loudness, tempo, energy, brightness and silence of a recording
fingerprint             words and a contour of a recording
fingerprint_comparison  whether two recordings are one, by their contours at an offset
"""
