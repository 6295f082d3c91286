"""Film images: which are missing, download, decode."""
