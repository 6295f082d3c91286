"""SQL views over the lake's Parquet, and what is read through them.

lake_views     define the views over tables, data-set versions and mel shards, and those of the lake's status:
               progress, failures, waiting, missing, run_counts, refreshes, …
review_views   views over people's answers: precision by stratum, agreement of raters, disagreements
status         everything that `needledrop status` shows, read at once
run_changes    what a run changed, and its counts next to those of the run before
"""
