"""Immutable versions of the data set, named by their content.

versions   the files of a version, writing and reading it, which version is current, what differs between two, deletion
export     a version as Parquet per split or as WebDataset tars, mels included
"""
