"""HTTP/1.1 bytes: strict reading, body framing, canonical writing. No sockets, no event loop."""
