"""Inference: windows over scenes of any size, test-time augmentation, and maps of whole scenes in bounded memory."""
