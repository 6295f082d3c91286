"""The models. Module attributes are the names of stored weights: renaming one makes old model folders unreadable.

towers             text (BERT) and image (ViT), pretrained or from configuration; audio (CNN with a transformer)
cross_attention    attention between text and image, and the film encoder around it
retrievers         the paper's model with its embedding nets, the AVCA baseline, and how a model is built or rebuilt
losses             InfoNCE, AVCA's triplets, and the loss of a batch
"""
