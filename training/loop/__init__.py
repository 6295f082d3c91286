"""Train one model: the loop and what it needs.

train           epochs, steps, validation loss
optimiser       optimiser, learning-rate schedule, early stopping
gradient_cache  batches larger than memory, in micro-batches
checkpoint      the model folder: configuration, weights, loop state
device          CPU, GPU or several GPUs under torchrun; out-of-memory errors, FLOPs
interrupts      SIGINT and SIGTERM deferred to the end of a step
"""
