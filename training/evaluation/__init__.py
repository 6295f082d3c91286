"""Evaluate trained models on held-out films.

embeddings       embed the films and tracks of a split with a model
embedding_files  embeddings keyed by id, and their files in a model folder (no torch)
ranking          ranks of every film's own tracks
exact_scores     scores that are the same on every device, on a CPU or a GPU
baselines        random, mean query, language oracle, nearest tags
encoder_baselines  what audio encoders find without any training of ours
policies         a model measured under every policy and for every choice of parts
bootstrap        intervals by bootstrap over films, paired differences, Holm's adjustment
model_card       the card of each run, models/RUN/card.md
confidence       intervals and differences recorded with a version
comparison       any two systems on the same test films
system_names     the names of systems that a user gives, and how they are shown
"""
