"""The models. Module attributes are the names of stored weights: renaming one makes old model folders unreadable.

towers             text (BERT) and image (ViT), pretrained or from configuration; audio (CNN with a transformer)
vit_resampling     a pretrained ViT for another patch size and fewer blocks
pretrained         load pretrained text and image models, complete or not at all, with their tokenizers and formats
summaries          one vector per text and per picture from a pretrained tower, and masks of padding
pooling            one vector from the segments of a track or the paragraphs of a plot
cross_attention    attention between text and image, and the audio tower's layer
film_encoder       towers and attention of a film; what takes the place of a missing plot or poster
retrievers         the paper's model with its embedding nets, the AVCA baseline
build              how a model is built from settings, or rebuilt from its folder
losses             InfoNCE, AVCA's triplets, and the loss of a batch
"""
