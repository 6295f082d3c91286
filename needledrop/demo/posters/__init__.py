"""Draw the invented posters."""
