"""Evaluate trained models on held-out films.

embeddings       embed the films and tracks of a split with a model
embedding_files  embeddings keyed by id, and their files in a model folder (no torch)
ranking          exact ranks of every film's own tracks, on a CPU or a GPU
baselines        random, mean query, language oracle, nearest tags, years kept or dropped
confidence       bootstrap intervals over films, paired differences, Holm's adjustment
"""
