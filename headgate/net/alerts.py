"""Owns the names and numbers of TLS alerts, and which of them OpenSSL's reason names mean."""

from collections.abc import Mapping
from typing import Final

ALERTS: Final[Mapping[int, str]] = {
    0: "close_notify",
    10: "unexpected_message",
    20: "bad_record_mac",
    21: "decryption_failed",
    22: "record_overflow",
    30: "decompression_failure",
    40: "handshake_failure",
    41: "no_certificate",
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    49: "access_denied",
    50: "decode_error",
    51: "decrypt_error",
    60: "export_restriction",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    86: "inappropriate_fallback",
    90: "user_canceled",
    100: "no_renegotiation",
    109: "missing_extension",
    110: "unsupported_extension",
    111: "certificate_unobtainable",
    112: "unrecognized_name",
    113: "bad_certificate_status_response",
    114: "bad_certificate_hash_value",
    115: "unknown_psk_identity",
    116: "certificate_required",
    120: "no_application_protocol",
}
"""Number → name (IANA registry "TLS Alerts", with the ones that TLS 1.3 retired)."""

_PREFIXES: Final = ("SSLV3_ALERT_", "TLSV1_ALERT_", "TLSV13_ALERT_", "TLSV1_", "TLSV13_")

_SPELLINGS: Final[Mapping[str, str]] = {
    "USER_CANCELLED": "user_canceled",
}
"""Where OpenSSL spells an alert differently."""

_NUMBERS: Final[Mapping[str, int]] = {name.upper(): number for number, name in ALERTS.items()} | {
    ours: next(n for n, name in ALERTS.items() if name == theirs) for ours, theirs in _SPELLINGS.items()
}


def alert_number(reason: str) -> int | None:
    """Return the alert that an OpenSSL reason name stands for, None where it is not an alert from the peer.

    reason: as in `ssl.SSLError.reason`: "SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSV1_UNRECOGNIZED_NAME", "WRONG_VERSION_NUMBER", ...
    """
    for prefix in _PREFIXES:
        if reason.startswith(prefix):
            number = _NUMBERS.get(reason[len(prefix) :])
            if number is not None:
                return number
    return None
