"""Train one model: the loop and what it needs.

train           epochs, steps, validation loss; SIGINT and SIGTERM wait for the end of a step
optimiser       optimiser, learning-rate schedule, early stopping
gradient_cache  batches larger than memory, in micro-batches
checkpoint      the model folder: configuration, weights, loop state
device          CPU or GPU, rank under torchrun; out-of-memory errors, FLOPs
distributed     what ranks exchange: embeddings with gradients, averaged gradients
"""
