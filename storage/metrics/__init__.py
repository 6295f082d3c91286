"""What runs measured: files of the lake, and `needledrop.duckdb`, which repeats them for SQL.

records             write runs, epochs, ranks, confidence intervals and comparisons
run_files           commit, list and read the files: one per run
run_rows            the columns of these files, and how the values of one run are replaced
schema              the tables of the DuckDB file
imports             fill its tables from the files that are new
database            open and lock the DuckDB file, bring it up to date, make it again; refresh its views
old_database        commit as files what older versions kept only in the DuckDB file
interrupted         recognise runs whose process was killed
leaderboard_views   the SQL views over ranks: metrics, leaderboard, chance, ceiling, the paper's table, slices
"""
