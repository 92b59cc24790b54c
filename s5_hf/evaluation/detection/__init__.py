"""Evaluation of oriented detection: protocol, loop and report."""
