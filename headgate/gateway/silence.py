"""The reader of a connection that is over: what still comes is dropped.

A function and no method, so that a connection which has ended does not refer to itself: it goes at once, without the collector.
"""


def read_nothing(_data: bytes) -> None:
    """Drop what still comes while closing."""
