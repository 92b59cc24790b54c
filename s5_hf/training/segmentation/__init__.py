"""Joint training of segmentation."""
