"""Films: found on a wiki or in an export, read into rows, and given a thumbnail."""
