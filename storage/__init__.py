"""What is kept and how it is found again. No Prefect, no network, no torch.

lake           atomic files under one root, in a folder or on an object store
tables         append-only Parquet tables
records        outcomes, answers of reviews, flow runs
coordination   leases, circuit breakers, daily budgets
mels           mel shards; datasets: versions of the data set; metrics: runs and ranks; views: SQL over all of it
libraries      a user's own music
audio_embeddings   what pretrained audio models made of the segments; cards of the models
errors         the error tree; verify: find damage
takedown_list_and_erasure  what must not be collected; erase what was computed from a recording that is taken down
processes_and_signals      whether a process lives, and where it can be seen; SIGTERM and Ctrl-C
code_version       the version of the package, the git commit of the code
output_escaping    text of strangers in a terminal or a CSV file
"""
