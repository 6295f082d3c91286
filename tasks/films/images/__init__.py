"""Film images.

thumbnails  which films lack an image; read, decode and scale it; commit a batch
"""
