"""Writing datasets as shards, and looking through them before training."""
