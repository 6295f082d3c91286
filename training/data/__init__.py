"""Input of the model: a data-set version as batches of tensors.

splits           a split's films and tracks in memory, its mel shards mapped, or its audio embeddings
film_inputs      what a system reads of each film: paragraphs, tags and crop that are drawn, tensors of a query
batches          training and validation batches, segments, negatives for the triplet loss
text_and_tokens  query text, the WordPiece tokenizer, tokens that are kept, padding
images           images decoded, resized and cropped to 224 x 224 pixels
"""
