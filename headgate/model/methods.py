"""What a method promises about being repeated (RFC 9110 section 9.2): the retry decision and the advice to clients rest on it."""

from typing import Final

READING: Final = frozenset((b"GET", b"HEAD"))
"""Methods whose page may be loaded again without asking (safe, section 9.2.1)."""
IDEMPOTENT: Final = READING | {b"OPTIONS", b"PUT", b"DELETE", b"TRACE", b"PROPFIND", b"REPORT", b"SEARCH"}
"""Methods that may be repeated (section 9.2.2, and the safe ones of RFC 4918, 3253 and 5323)."""
