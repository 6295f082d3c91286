"""What is kept of a user's own music: files, tracks and their embeddings. Audio is never copied.

library      a library's folders, where each machine has mounted them, and its tables of files and tracks
embeddings   the embeddings of every segment of its tracks, one set per run
decisions    what a user keeps and rejects
shortlists   lists of tracks by name, with notes
"""
