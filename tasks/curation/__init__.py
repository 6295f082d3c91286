"""Make a version of the data set: which films, tracks and tags are in it, and why the others are not.

curate        name, write and publish a version
candidate_snapshot      the newest rows of the lake at one moment
exclusions_and_splits   select films and tracks: the rules, their settings, the split; what a lake lacks for a version
duplicates    tracks that are one recording, by bytes, upload or fingerprint
manifest      what identifies a version; counts and checksums
dataset_card  the README of a version
card_charts   its charts, and its sheet of mel-spectrograms
"""
