"""Change detection, with or without unlabelled pairs."""
