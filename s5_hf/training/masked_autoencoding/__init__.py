"""Masked autoencoding (MAE): the start of S4 pre-training."""
