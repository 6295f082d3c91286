"""Splits, batches, text and images as training reads them."""
