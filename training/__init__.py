"""The models and the experiment; the only package that imports torch. It imports no Prefect.

systems         the systems of Table 1
config          settings and jobs as data
setting_groups  every setting: type, bounds, default, help
presets         the values of the presets, and what options change of them
named_settings  settings by name, and checks of their values
experiments     run one experiment: train, embed, rank, record
data            splits, batches, text, images
model           towers, cross-attention, retriever, AVCA, losses
encoders        pretrained audio models in a process of their own
loop            training loop, checkpoints, devices
evaluation      embeddings, ranks, baselines, confidence
retrieval       search music for a film
"""

import os

# OpenMP threads that wait for work would spin, and take the cores from other processes: measured fifteen times
# slower at a load of three. Read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
