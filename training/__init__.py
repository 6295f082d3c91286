"""The model and the experiment: data, towers, loop, embeddings, ranks. No Prefect; the only room that imports torch."""

import os

# OpenMP threads that wait for work would spin, and on a machine that does anything else beside training they
# take the cores from those that have work: measured fifteen times slower at a load of three. Read when torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
