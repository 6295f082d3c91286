"""Pretrained audio models that embed segments of sound while it is at hand, in a process of their own.

model_files           find a model's files, their type, digest and licence, refuse other weights; imports no torch
process               start the process and talk to it, and what runs in it
embed_audio_and_text  load a model, embed segments of sound, and texts where it hears and reads into one space
"""
