"""Film images.

missing_images  which films lack an image; read it, and commit a batch
image_folder    a folder of images, by the names that articles use
thumbnails      decode and scale an image
"""
