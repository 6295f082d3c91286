"""Input of the model: a data-set version as batches of tensors.

splits       a split's films and tracks in memory, its mel shards mapped, or its audio embeddings
film_inputs  what a system reads of each film: its text, paragraphs, tags and crop that are drawn, tensors of a query
batches      training and validation batches, and the segments of their tracks
negatives    which items of a batch are negatives: of the triplet loss, and the false ones of InfoNCE
tokenizer    the WordPiece tokenizer, tokens that are kept, padding
image_crops  images decoded, resized and cropped to 224 x 224 pixels
"""
