"""Find and fetch recordings in the sources that the user chooses.

base          what every source does: find candidates of a film, fetch one as a local file
music_folder  the user's own files: folders with tags, or CSV lists that pair files with films
url_list      URLs and RSS feeds that the user lists
youtube       official albums and searches on YouTube
metadata      yt-dlp's metadata of a recording as a candidate
"""
