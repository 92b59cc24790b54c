"""Evaluation of trained change detectors."""
