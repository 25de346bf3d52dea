"""Owns which limits the reader knows: the part of `gateway.limits` that concerns bytes on the wire."""

from dataclasses import dataclass, fields
from typing import Self


@dataclass(frozen=True, slots=True)
class WireLimits:
    """Sizes in bytes, counts in lines. Names and defaults are those of the configuration's `gateway.limits`."""

    request_line_bytes: int = 8_192
    request_header_bytes: int = 32_768
    request_header_count: int = 100
    response_header_bytes: int = 65_536
    response_header_line_bytes: int = 32_768
    response_header_count: int = 200
    trailer_bytes: int = 16_384
    trailer_line_bytes: int = 8_192

    @classmethod
    def of(cls, source: object) -> Self:
        """Return the limits that `source` (the configuration's table) has under the same names."""
        return cls(**{field.name: getattr(source, field.name) for field in fields(cls)})
