"""What every joint training shares: one model, many datasets."""
