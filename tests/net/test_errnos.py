"""The tables of kernel errors and TLS alerts: complete, and in the model's own words."""

import errno

import pytest

from headgate.diagnose.classify import classify
from headgate.model.phases import CONNECT
from headgate.model.signals import SIGNALS
from headgate.net.alerts import ALERTS, alert_number
from headgate.net.errnos import OURS, TCP, UNIX, errno_text
from headgate.net.race import RANK


@pytest.mark.parametrize(("table", "code"), [(table, code) for table in (TCP, UNIX) for code in table])
def test_every_errno_leads_to_a_cause(table: dict[int, str], code: int) -> None:
    signal = table[code]
    assert signal in SIGNALS
    assert classify(CONNECT, signal, {"errno": code}).code != "gateway-error"


@pytest.mark.parametrize(
    ("code", "tcp", "unix"),
    [
        (errno.ECONNREFUSED, "refused", "refused"),
        (errno.ETIMEDOUT, "deadline", "deadline"),
        (errno.ENETUNREACH, "unreachable", "unreachable"),
        (errno.EHOSTUNREACH, "unreachable", "unreachable"),
        (errno.EACCES, "prohibited", "forbidden"),
        (errno.EPERM, "prohibited", "forbidden"),
        (errno.ECONNRESET, "reset", "reset"),
        (errno.EADDRNOTAVAIL, "no-ports", "no-ports"),
        (errno.EAGAIN, "no-ports", "backlog"),
        (errno.EMFILE, "no-files", "no-files"),
        (errno.ENOBUFS, "no-memory", "no-memory"),
        (errno.EAFNOSUPPORT, "misconfigured", "misconfigured"),
        (errno.ENOENT, None, "missing"),
        (errno.ENOTDIR, None, "missing"),
    ],
)
def test_where_tcp_and_unix_sockets_differ(code: int, tcp: str | None, unix: str) -> None:
    assert (TCP.get(code), UNIX.get(code)) == (tcp, unix)


def test_every_signal_of_a_tcp_connect_has_its_rank() -> None:
    assert set(TCP.values()) | OURS <= set(RANK)


def test_texts() -> None:
    assert errno_text(errno.ECONNREFUSED) == "ECONNREFUSED: Connection refused"
    assert errno_text(99_999) == "99999: Unknown error 99999"


@pytest.mark.parametrize("number", ALERTS)
def test_alerts_are_found_under_the_names_of_openssl(number: int) -> None:
    assert alert_number(f"TLSV1_ALERT_{ALERTS[number].upper()}") == number
