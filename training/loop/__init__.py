"""Train one model: the loop and what it needs.

train                  epochs, steps, validation loss; SIGINT and SIGTERM wait for the end of a step
optimisation           optimiser, learning-rate schedule, early stopping, averaged weights
micro_batches          batches larger than memory: gradient caching, out-of-memory errors
checkpoint             the model folder: the job, its configuration, weights, loop state, and how often it is saved
devices_and_torchrun   CPU or GPU, deterministic arithmetic; process group, gathered embeddings, averaged gradients
prefetch               batches made ahead by a thread, copied to the GPU on a stream of its own
frozen_tower_cache     outputs of frozen towers, computed once and kept on this machine
flops_and_compilation  peaks of GPUs, operations of a step (MFU), compiled towers
"""
