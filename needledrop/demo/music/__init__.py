"""Compose, perform and encode the invented music."""
