"""Oriented detection around the model: result files."""

from .dota_results import read_task1_results, write_task1_results

__all__ = ["read_task1_results", "write_task1_results"]
