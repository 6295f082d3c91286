"""SQL views over the lake's Parquet, and the status read from them."""
