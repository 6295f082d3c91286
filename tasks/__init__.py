"""The work of each stage: plain functions, and the Prefect tasks that call them.

films        articles and images from a wiki or an export
soundtracks  recordings from music folders, URLs and YouTube, as mel-spectrograms
curation     which films, tracks and tags are in a version of the data set
options      every option of the flows and commands, defined once
backoff      Retry-After and exponential backoff
progress     progress bars
prefect_client  clients of Prefect's server, and their errors
interrupts   child processes that Ctrl-C does not reach
"""
