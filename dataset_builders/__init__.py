"""Streaming builders for the datasets of S5: one file per dataset, one registry."""
