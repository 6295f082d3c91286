"""Film images.

download_or_folder  read an image: from the wiki's file hosts, or a folder, by the names that articles use
thumbnails          which films lack an image; decode, scale and commit it
"""
