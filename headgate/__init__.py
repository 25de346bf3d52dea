"""Headgate: the HTTP gateway that knows why."""

__version__ = "0.1.0"
