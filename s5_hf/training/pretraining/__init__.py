"""Semi-supervised pre-training (S4P)."""
