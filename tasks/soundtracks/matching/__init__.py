"""Decide which recordings belong to which film; pure text."""
