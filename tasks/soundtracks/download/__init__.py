"""Download recordings with yt-dlp, within the limits of their source.

downloader   download with retries into staging, through the throttle, and verify by decoding completely
ytdlp        the yt-dlp client: options, limits, one call
error_classification  classify a yt-dlp error: reason and action
error_rules  the table of reasons: patterns of messages, exceptions, actions, lengths of pauses
http_statuses  what an HTTP status means, by who answered with it; Retry-After
throttle_and_breaker  waits, circuit breaker and daily budget in front of a source
staging      the local folder of downloads that are not committed yet; audio that is kept
ytdlp_preflight  check yt-dlp's JavaScript runtime, solver and age before a run
"""
