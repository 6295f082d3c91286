"""Download recordings: yt-dlp, errors, throttle, staging, integrity."""
