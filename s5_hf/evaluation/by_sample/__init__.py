"""Evaluation of networks that answer questions, write captions or translate dates: one sample at a time."""
