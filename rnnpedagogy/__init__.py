"""Recurrent networks and their derivatives in plain NumPy, to be read next to the book."""

__version__ = "0.1.0"
