"""Mianjing: chat with your own interview notes."""

__version__ = "0.1.0"
