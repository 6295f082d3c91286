"""Train one model: the loop and what it needs.

train           epochs, steps, validation loss; SIGINT and SIGTERM wait for the end of a step
optimisation    optimiser, learning-rate schedule, early stopping; batches larger than memory, in micro-batches
checkpoint      the model folder: configuration, weights, loop state
devices         CPU or GPU, rank under torchrun, and what ranks exchange; out-of-memory errors, FLOPs
"""
