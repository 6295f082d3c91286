"""SQL views over the lake's Parquet, and what is read through them.

lake_views     define the views over tables, versions, libraries and segments, and of how far each stage is
status         everything that `needledrop status` shows, read at once
run_changes    what a run changed, and its counts next to those of the run before
"""
