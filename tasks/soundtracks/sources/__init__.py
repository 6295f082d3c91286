"""Find and fetch recordings in the sources that the user chooses.

source_protocol              what every source does: find candidates of a film, fetch one as a local file
music_folders_and_url_lists  what the user lists: folders with tags, CSV lists of files and films, URLs and feeds
youtube_albums_and_search    the official album of a film, and a search, on YouTube
youtube_music                the search for albums and the pages of albums on YouTube Music, as candidates
ytdlp_metadata               the metadata that yt-dlp gives, as candidates
"""
