"""Decode audio and compute mel-spectrograms and fingerprints."""
