"""What one collection run does."""
