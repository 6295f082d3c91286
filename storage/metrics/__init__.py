"""What runs measured: files of the lake, and `needledrop.duckdb`, which repeats them for SQL.

record_measurements  write runs, epochs, ranks, confidence intervals and comparisons
run_files           commit, list and read the files: one per run; their columns; runs whose process was killed
duckdb_import       the tables of the DuckDB file, filled from the files that are new
database            open and lock the DuckDB file, bring it up to date, make it again; refresh its views
old_database        commit as files what older versions kept only in the DuckDB file
leaderboard_and_chance_views   SQL views over ranks: metrics, leaderboard, chance, ceiling, the paper's table, slices
"""
