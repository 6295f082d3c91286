"""What is kept and how it is found again. No Prefect, no network, no torch.

lake           atomic files under one root, in a folder or on an object store
tables         append-only Parquet tables
records        outcomes, reviews, the takedown list, flow runs
coordination   leases, circuit breakers, daily budgets
audio_embeddings  what pretrained audio models made of the segments
mels           mel shards; datasets: versions of the data set; metrics: runs and ranks; views: SQL over all of it
errors         the error tree; verify: find damage; version_deletion: delete versions that nothing needs
blank_embeddings  blank what was computed of a recording; processes: whether one lives, and where it can be seen
spreadsheets   cells of a CSV file that cannot become formulas
"""
