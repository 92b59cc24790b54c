"""Evaluation of segmentation: protocol, loop and report."""
