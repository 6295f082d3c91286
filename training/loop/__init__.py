"""Train one model: the loop and what it needs.

train                            epochs, steps, validation loss; SIGINT and SIGTERM wait for the end of a step
optimiser_and_early_stopping     optimiser, learning-rate schedule, early stopping, averaged weights
micro_batches_and_out_of_memory  batches larger than memory: gradient caching, out-of-memory errors
checkpoint                       the model folder: the job, its configuration, weights, loop state
devices_and_torchrun             CPU or GPU, deterministic arithmetic; process group, gathered embeddings
prefetch                         batches made ahead by a thread, copied to the GPU on a stream of its own
frozen_tower_cache               outputs of frozen towers, computed once and kept on this machine
flops_and_compilation            peaks of GPUs, operations of a step (MFU), compiled towers
"""
