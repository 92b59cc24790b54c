"""The S5 networks. This folder imports torch and transformers only."""
