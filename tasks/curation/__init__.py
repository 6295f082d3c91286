"""Curation: which films, tracks and tags stand in a data-set version, and why the others do not."""
