"""Film images.

collect     which images are missing; read and commit a batch
thumbnails  decode and scale an image; the folder of images for an export
"""
