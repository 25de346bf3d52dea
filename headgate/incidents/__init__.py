"""Owns what an incident is: which failures belong together, when it is over, and how it is kept.

Knows no sockets and no event loop; the time comes in with each call.
"""
