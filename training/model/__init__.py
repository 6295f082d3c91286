"""The models. Module attributes are the names of stored weights: renaming one makes old model folders unreadable.

text_tower             BERT and its like: tokenizer, masks of padding, one vector per text
image_tower            ViT and its like: the pictures it expects, another patch size, one vector per picture
audio_tower            a CNN with a transformer on mels, or a layer on audio embeddings
pretrained_weights     load pretrained models from a folder or the hub, complete or not at all
attention_and_pooling  attention layers; one vector from the segments of a track or the paragraphs of a plot
film_encoder           towers and attention of a film; what takes the place of a missing plot or poster
retrieval_model        the paper's model with its embedding nets, the AVCA baseline; built, rebuilt, loss of a batch
losses                 InfoNCE with its temperature, and AVCA's triplets
"""
