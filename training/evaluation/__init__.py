"""Embeddings, ranks, confidence and baselines."""
