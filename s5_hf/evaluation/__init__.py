"""Evaluation: how published numbers are obtained, on any number of processes, with a report."""

from .protocol import PROTOCOLS, Protocol, choose_protocol

__all__ = ["PROTOCOLS", "Protocol", "choose_protocol"]
