"""The models and the experiment; the only package that imports torch. It imports no Prefect.

systems           the systems of Table 1, and how a user names one
settings          every setting: type, bounds, default, help; the digest that names a run
settings_parsing  settings by name, and their values as text, in mappings and in TOML files
settings_checks   values out of bounds, sizes that do not fit, settings without effect
presets           the values of the presets, and what options change of them
training_runs     plan runs; one from data to ranks: train, embed, rank, record
data              splits, film inputs, batches, negatives, tokenizer, image crops
model             towers, attention and pooling, retriever, AVCA, losses
audio_encoders    pretrained audio models in a process of their own
loop              training loop, checkpoints, devices
evaluation        embeddings, ranks, policies, intervals and comparisons, baselines, model cards
retrieval         search music for a film
"""

import os

# OpenMP threads that wait for work would spin, and take the cores from other processes: measured fifteen times
# slower at a load of three. Read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
