"""The models. Module attributes are the names of stored weights: renaming one makes old model folders unreadable.

text_image_towers  BERT and ViT, pretrained (folder or hub) or from configuration
audio_tower        CNN with a transformer over mel-spectrograms; dequantises stored mels
cross_attention    attention between text and image, and the film encoder around it
retriever          the paper's model: query and audio embeddings, embedding nets
avca               the AVCA baseline model
factory            build a model from settings, or rebuild it from stored configuration
losses             InfoNCE, AVCA's triplets, and the loss of a batch
"""
