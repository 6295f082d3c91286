"""Turn a film's recordings into a mel shard, in worker processes that may crash or be killed.

jobs          the plain data that travels: Recording, FilmJob, FilmResult
film          extract one film in this process
worker        the main function of a worker process
process_pool  start, supervise, kill and reuse worker processes
scheduler     spread films over the pool, and again without a recording that ended its worker
encoding      have encoders embed what was decoded, and commit embeddings before the shard
dask          spread films over Dask instead
"""
