"""Films from a wiki's API."""
