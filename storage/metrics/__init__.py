"""Measured results in `needledrop.duckdb`.

database            open, lock, create and migrate the DuckDB file; refresh its views
schema              its tables, and the migrations from older versions
leaderboard_views   the SQL views over ranks: metrics, leaderboard, chance, ceiling, the paper's table, slices
records             write runs, epochs, ranks, confidence intervals and comparisons
"""
