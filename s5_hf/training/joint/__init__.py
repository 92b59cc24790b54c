"""Joint training of one model on many datasets."""
