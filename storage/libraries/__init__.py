"""What is kept of a user's own music: files, tracks and their embeddings. Audio is never copied.

library      a library's folders, where each machine has mounted them, and its tables of files and tracks
library_embeddings   the embeddings of every segment of its tracks, one set per run or audio encoder
decisions_and_shortlists   what a user keeps and rejects; lists of tracks by name, with notes
"""
