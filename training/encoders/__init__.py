"""Pretrained audio models that embed segments of sound while it is at hand, in a process of their own.

model_types  the types that are accepted, by what they return
weights      find a model's files and their digest; imports no torch
licences     the licence of its weights
process      start the process and talk to it; imports no torch
worker       the main function of the process
models       load a model, embed segments of sound, and texts where it hears and reads into one space
"""
