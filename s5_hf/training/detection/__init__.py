"""Joint training of oriented detection."""
