"""The types of models that are accepted as audio encoders, by what they return."""

JOINT = "clap"
"""The type that hears and reads into one space."""
POOLED = "audio-spectrogram-transformer"
"""The type that returns one vector for a window."""
FRAMES = ("wav2vec2", "hubert", "wavlm", "data2vec-audio", "unispeech-sat")
"""The types that return a vector per frame of the waveform; their mean is the embedding."""
TYPES = (JOINT, POOLED, *FRAMES)
TYPE_NAMES = "CLAP, AST, Wav2Vec2, HuBERT, WavLM, Data2Vec or UniSpeech-SAT"
