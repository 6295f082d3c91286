"""Search the tracks of a run for a film."""
