"""Measured results in `needledrop.duckdb`.

database            open and lock the DuckDB file; its tables and migrations; refresh its views
leaderboard_views   the SQL views over ranks: metrics, leaderboard, chance, ceiling, the paper's table, slices
records             write runs, epochs, ranks, confidence intervals and comparisons
"""
