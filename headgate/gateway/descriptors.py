"""How many client connections the open files allowed to a process are good for."""

import resource
from typing import Final

SPARE_FILES: Final = 40
"""Descriptors kept for logs, pipes, DNS and the loop itself."""


def affordable(wanted: int) -> int:
    """Return how many client connections the descriptors of this process allow.

    Each may need one more towards a server, and a fifth is left for those that are told that there are too many.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if files == resource.RLIM_INFINITY else max(1, min(wanted, (files - SPARE_FILES) * 2 // 5))
