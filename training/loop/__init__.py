"""Train one model: the loop and what it needs.

train           epochs, steps, validation loss; SIGINT and SIGTERM wait for the end of a step
optimisation    optimiser, learning-rate schedule, early stopping, averaged weights
micro_batches   batches larger than memory, by gradient caching
checkpoint      the model folder: configuration, weights, loop state
devices         CPU or GPU, rank under torchrun, deterministic arithmetic, out-of-memory errors
prefetch        batches made ahead by a thread, copied to the GPU on a stream of its own
torchrun        what several GPUs exchange: embeddings with gradients, averaged gradients
speed           peaks of GPUs, operations of a step, compiled towers
"""
