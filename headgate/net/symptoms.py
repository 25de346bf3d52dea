"""Owns which signal an exception is: the one place where `except` and `connection_lost` learn what they saw."""

import re
import ssl
from typing import Final

from ..model import signals as s
from ..model.facts import Facts
from .alerts import ALERTS, alert_number
from .errnos import errno_text

_EOF_REASONS: Final = ("UNEXPECTED_EOF_WHILE_READING", "UNEXPECTED_EOF")
_MESSAGE: Final = re.compile(r"\[\w+\]|\(_ssl\.c:\d+\)")
"""What stands around the reason in the text of an ssl.SSLError: "[SSL] tlsv1 alert no application protocol (_ssl.c:1006)"."""
_ERROR_MAX: Final = 300
"""Longest text of an exception that is kept, characters."""


def signal_of(exc: BaseException | None) -> tuple[str, Facts]:
    """Return the signal and its evidence for what ended an established connection or a TLS handshake.

    exc: what `connection_lost` got (None: the peer closed in order), or what a handshake raised.
    A TLS 1.3 server refuses a client certificate only after the client's handshake is complete: the alert then comes here.
    """
    if exc is None:
        return s.EOF, {}
    if isinstance(exc, ssl.SSLCertVerificationError):
        return s.CERTIFICATE, {"verify_code": exc.verify_code, "verify_message": exc.verify_message, "error": _text(exc)}
    if isinstance(exc, ssl.SSLError):
        return _of_ssl(exc)
    if isinstance(exc, OSError):
        return _of_os(exc)
    return s.UNEXPECTED, {"error": f"{type(exc).__name__}: {_text(exc)}"}


def _of_ssl(exc: ssl.SSLError) -> tuple[str, Facts]:
    reason = _reason(exc)
    if isinstance(exc, (ssl.SSLEOFError, ssl.SSLZeroReturnError)) or reason in _EOF_REASONS:
        return s.EOF, {}
    number = alert_number(reason)
    if number is not None:
        return s.ALERT, {"alert": number, "alert_name": ALERTS[number], "tls_reason": reason}
    return s.TLS_PROTOCOL, {"tls_reason": reason, "error": _text(exc)}


def _reason(exc: ssl.SSLError) -> str:
    """Return OpenSSL's name of the reason: "TLSV1_ALERT_NO_APPLICATION_PROTOCOL". Python's own table lacks the newer ones."""
    text = getattr(exc, "reason", None) or _MESSAGE.sub("", str(exc))
    return text[:_ERROR_MAX].strip().replace(" ", "_").upper()


def _of_os(exc: OSError) -> tuple[str, Facts]:
    if exc.errno is None:
        # uvloop raises a bare ConnectionResetError where the peer closed in order before the handshake was complete.
        return (s.EOF, {}) if isinstance(exc, ConnectionResetError) else (s.RESET, {"error": _text(exc)})
    return s.RESET, {"errno": exc.errno, "error": errno_text(exc.errno)}


def _text(exc: BaseException) -> str:
    return str(exc)[:_ERROR_MAX]
