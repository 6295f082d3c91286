"""Download recordings with yt-dlp, within the limits of their source.

downloader_and_staging  download with retries, through the throttle, and verify by decoding completely; the local
                        folder of downloads that are not committed yet; audio that is kept
ytdlp  the yt-dlp client: options, limits, one call; its JavaScript runtime, solver and age before a run
error_classification  classify a yt-dlp error, also by its HTTP status: reason and action; Retry-After
error_patterns_and_pauses  the table of reasons: patterns of messages, exceptions, actions, lengths of pauses
throttle_and_breaker  waits, circuit breaker and daily budget in front of a source
"""
