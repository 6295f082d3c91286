"""Download recordings with yt-dlp, within the limits of their source.

downloader   download with retries into staging, through the throttle
integrity    decode a recording completely before it is accepted
ytdlp        the yt-dlp client: options, limits, one call
errors       classify a yt-dlp error: reason and action
http_statuses  what an HTTP status means, by who answered with it; Retry-After
error_rules  the table of reasons: patterns of messages, actions, lengths of pauses
throttle     circuit breaker and daily budget in front of a source
staging      the local folder of downloads that are not committed yet
preflight    check yt-dlp's JavaScript runtime, solver and age before a run
"""
