"""SQL views over the lake's Parquet, and what is read through them.

segment_views  define the views with one row per segment: mels, audio embeddings
lake_views     define the views over tables, data-set versions and libraries, and the views of the next two
status_views   how far each stage is: progress, failures, pace, waiting, missing, run_counts, refreshes, …
review_views   views over people's answers: precision by stratum, agreement of raters, disagreements
status         everything that `needledrop status` shows, read at once
run_changes    what a run changed, and its counts next to those of the run before
"""
