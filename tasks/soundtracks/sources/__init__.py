"""Find and fetch recordings in the sources that the user chooses.

base           what every source does: find candidates of a film, fetch one as a local file
music_folder   the user's own files: folders with tags, or CSV lists that pair files with films
url_list       URLs and RSS feeds that the user lists
youtube        the official album of a film, and a search, on YouTube
youtube_music  the search for albums and the pages of albums on YouTube Music
youtube_music_albums  its answers, as albums and candidates
metadata       the metadata that yt-dlp gives, as candidates
"""
