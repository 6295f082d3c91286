"""Input of the model: a data-set version as batches of tensors.

splits   a split's films and tracks in memory, its mel shards mapped
batches  training and validation batches, prefetching, negatives for the triplet loss
text     query text, the WordPiece tokenizer, padding
images   images decoded, resized and cropped to 224 x 224 pixels
"""
