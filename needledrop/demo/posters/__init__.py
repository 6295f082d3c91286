"""Draw the invented posters.

poster         one poster: colours, composition, title and names, paper grain
compositions   the ten compositions, one per mood, and what they are made of: people, hills, trees, hats, lights
"""
