"""Make a version of the data set: which films, tracks and tags are in it, and why the others are not.

curate        select films and tracks, name, write and publish the version
settings      the rules that a user may set
candidates    the newest rows of the lake
exclusions    the rules that exclude films, tracks and rare tags
duplicates    tracks that are one recording
same_sound    pairs of tracks that sound the same at any offset, by their fingerprints
splits        the chronological split
manifest      counts and checksums
dataset_card  the README of a version
card_charts   its charts
spectrograms  its sheet of mel-spectrograms
tasks         the Prefect task, what a lake lacks before its first version, and the artifacts
"""
