"""`needledrop.duckdb`: its file, schema, views and records."""
