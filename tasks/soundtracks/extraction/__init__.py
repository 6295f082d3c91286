"""Turn a film's recordings into a mel shard, in worker processes that may crash or be killed.

film_jobs     the plain data that travels: FilmJob, FilmResult
extract_film  decode a film's recordings in this process and write its shard
process_pool  worker processes: start, limit, kill and reuse them, spread films over them, go on after a crash
embed_audio   have encoders embed what was decoded, and commit embeddings before the shard
dask          spread films over Dask instead
"""
