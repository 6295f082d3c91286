"""Evaluate trained models on held-out films.

embeddings                 embeddings keyed by id, and their files in a model folder (no torch)
embed_films_and_tracks     embed the films and tracks of a split with a model
ranking                    ranks of every film's own tracks, by exact scores, on a CPU or a GPU
evaluate_run               a run measured under every policy and for every choice of parts
baselines                  random, mean query, language oracle, nearest tags; what audio encoders find untrained
record_baselines           the baselines of a version recorded, each once
intervals_and_comparisons  intervals by bootstrap over films, paired differences, Holm's adjustment, two named systems
model_card                 the card of each run, models/RUN/card.md
"""
