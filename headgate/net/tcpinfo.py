"""Owns how the kernel's view of a TCP connection (getsockopt TCP_INFO) is read: what tells packet loss from a slow program."""

import socket
from struct import Struct
from typing import Final, Protocol


class HasDescriptor(Protocol):
    """A socket, or uvloop's stand-in for one."""

    def fileno(self) -> int:
        """Return the descriptor, negative when closed."""


_BASE: Final = Struct("=8B24I")
"""struct tcp_info of linux/tcp.h up to tcpi_total_retrans: the part every kernel since 2.6 has."""
_MORE: Final = Struct("=4Q6I")
"""What follows since Linux 4.6: pacing, bytes acked and received, segments, bytes not sent, least round trip, data segments."""

STATES: Final = (
    "", "established", "syn-sent", "syn-recv", "fin-wait-1", "fin-wait-2", "time-wait", "close", "close-wait", "last-ack",
    "listen", "closing", "new-syn-recv",
)  # fmt: skip
"""Names of the numbers in "state" (include/net/tcp_states.h)."""


def tcp_info(sock: HasDescriptor | int) -> dict[str, int] | None:
    """Return what the kernel knows of a TCP connection; None for other sockets, closed ones, and other systems than Linux.

    sock: a socket, `transport.get_extra_info("socket")`, or a descriptor. It stays open.
    Keys: state (see STATES); retransmits (timeouts in a row, now), total_retrans, lost, unacked, retrans, sacked (segments);
    rto_us, rtt_us, rttvar_us, min_rtt_us; snd_cwnd (segments), snd_mss, pmtu, notsent_bytes, bytes_acked, bytes_received;
    last_data_sent_ms, last_data_recv_ms, last_ack_recv_ms: how long ago.
    """
    descriptor = sock if isinstance(sock, int) else sock.fileno()
    if descriptor < 0:
        return None
    try:
        borrowed = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, descriptor)
    except OSError:
        return None
    try:
        raw = borrowed.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BASE.size + _MORE.size)
    except OSError:
        return None
    finally:
        borrowed.detach()
    return _unpack(raw)


def _unpack(raw: bytes) -> dict[str, int] | None:
    if len(raw) < _BASE.size:
        return None
    (
        state, _, retransmits, _, _, _, _, _,
        rto, _, snd_mss, _, unacked, sacked, lost, retrans, _,
        last_data_sent, _, last_data_recv, last_ack_recv,
        pmtu, _, rtt, rttvar, _, snd_cwnd, _, _, _, _, total_retrans,
    ) = _BASE.unpack_from(raw)  # fmt: skip
    info = {
        "state": state,
        "retransmits": retransmits,
        "total_retrans": total_retrans,
        "lost": lost,
        "unacked": unacked,
        "retrans": retrans,
        "sacked": sacked,
        "rto_us": rto,
        "rtt_us": rtt,
        "rttvar_us": rttvar,
        "snd_cwnd": snd_cwnd,
        "snd_mss": snd_mss,
        "pmtu": pmtu,
        "last_data_sent_ms": last_data_sent,
        "last_data_recv_ms": last_data_recv,
        "last_ack_recv_ms": last_ack_recv,
    }
    if len(raw) >= _BASE.size + _MORE.size:
        _, _, bytes_acked, bytes_received, _, _, notsent, min_rtt, _, _ = _MORE.unpack_from(raw, _BASE.size)
        info |= {"bytes_acked": bytes_acked, "bytes_received": bytes_received, "notsent_bytes": notsent}
        if min_rtt != 0xFFFF_FFFF:  # no sample yet
            info["min_rtt_us"] = min_rtt
    return info
