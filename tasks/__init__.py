"""The work of each stage: plain functions, and the Prefect tasks that call them.

films        articles and images from a wiki or an export
soundtracks  recordings from music folders, URLs and YouTube, as mel-spectrograms
libraries    a user's own music: scan its folders, decode and embed it
curation     which films, tracks and tags are in a version of the data set
options_and_defaults   every option of the flows and commands: type, default, help
retry_after_and_backoff   Retry-After and exponential backoff
progress     progress bars
prefect_client  clients of Prefect's server, and their errors
run_report   what a run did in counts and words, and whether too much of it failed
source_concurrency_limits   one run at a time per source, by a limit of the Prefect server
"""
