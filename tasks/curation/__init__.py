"""Make a version of the data set: which films, tracks and tags are in it, and why the others are not.

curate        select films and tracks, name, write and publish the version; what a lake lacks before its first one
candidate_snapshot      the newest rows of the lake at one moment
exclusions_and_splits   the rules that exclude films, tracks and rare tags, their settings, and the chronological split
duplicates    tracks that are one recording, by bytes, upload or fingerprint
manifest      what identifies a version; counts and checksums
dataset_card  the README of a version
card_charts   its charts, and its sheet of mel-spectrograms
"""
