"""Joint training of oriented detectors."""
