"""Towers, models and losses."""
