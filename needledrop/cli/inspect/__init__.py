"""Commands that only read a lake: sql, status, verify."""
