"""What this package puts into transformers, datasets and the Hub client."""
