"""Checkpoints that survive a kill and resume exactly."""
