"""Training of networks that say in a sentence what changed between two images (MV-CC, arXiv 2410.23946)."""
