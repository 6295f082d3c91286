"""Find, match, download and decode soundtracks, and write their mel-spectrograms into the lake.

sources     where recordings come from: music folders, lists of URLs, YouTube
matching    which film a recording belongs to: text only, no network
download    yt-dlp, its errors, the throttle in front of a source, staging
audio       decoding, mel-spectrograms, fingerprints: signals only, no lake
extraction  a film's recordings to one mel shard, in worker processes
reviews     samples for people to rate, and their rated sheets
runs        plan and run a collection; availability checks, takedowns, repairs
candidate_recordings  the plain data that all of them share: film, candidate, verdict
film_outcomes  why a film has no music
"""
