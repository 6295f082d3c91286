"""What pretrained audio models made of the segments of every film.

files   one Parquet file per film and encoder
cards   what is known of an encoder: its name, form, origin and licence
verify  find damage in a file, and disagreement with the film's shard
"""
