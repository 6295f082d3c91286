"""What runs measured: files of the lake, and `needledrop.duckdb`, which repeats them for SQL.

record_measurements  write runs, epochs, ranks, confidence intervals and comparisons
run_files           commit, list and read the files: one per run; their columns; runs whose process was killed
database_schema     the tables of the DuckDB file
database_import     fill them from the files that are new; commit as files what older versions kept only in them
database            open and lock the DuckDB file, bring it up to date, make it again; refresh its views
leaderboard_chance_and_paper_views   views over ranks: metrics, leaderboard, chance, ceiling, slices, the paper's table
"""
