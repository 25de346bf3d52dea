"""The lab's DNS server: every kind of answer, over UDP and TCP."""

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from headgate.lab.dns import name_of, respond
from headgate.lab.scenario import Dns

NAME = name_of("mine")


def ask(behaviour: Dns, kind: str = "A", over_tcp: bool = False, name: str = NAME) -> dns.message.Message:
    query = dns.message.make_query(name, kind, use_edns=0)
    answer = respond(query.to_wire(), {NAME: behaviour}, over_tcp)
    assert answer is not None
    message = dns.message.from_wire(answer)
    assert query.is_response(message)
    return message


def addresses(message: dns.message.Message) -> list[str]:
    return [str(record) for rrset in message.answer for record in rrset if rrset.rdtype in (1, 28)]


@pytest.mark.parametrize(
    ("kind", "rcode"),
    [("nxdomain", "NXDOMAIN"), ("nodata", "NOERROR"), ("servfail", "SERVFAIL"), ("refused", "REFUSED"), ("notimp", "NOTIMP")],
)
def test_failures(kind: str, rcode: str) -> None:
    message = ask(Dns(answer=kind))  # type: ignore[arg-type]
    assert dns.rcode.to_text(message.rcode()) == rcode
    assert not message.answer


def test_addresses_by_type() -> None:
    behaviour = Dns(addresses=("127.0.0.3", "::1", "127.0.0.1"))
    assert sorted(addresses(ask(behaviour))) == ["127.0.0.1", "127.0.0.3"]
    assert addresses(ask(behaviour, "AAAA")) == ["::1"]


def test_cname_chain_leads_to_the_address() -> None:
    message = ask(Dns(cname=3))
    owners = [rrset.name.to_text() for rrset in message.answer]
    targets = [rrset[0].to_text() for rrset in message.answer[:-1]]
    assert len(owners) == 4
    assert owners[1:] == targets
    assert addresses(message) == ["127.0.0.1"]


def test_extended_error() -> None:
    message = ask(Dns(answer="servfail", ede=6, ede_text="signature expired"))
    assert message.options[0].code == 6  # type: ignore[attr-defined]
    assert message.options[0].text == "signature expired"  # type: ignore[attr-defined]


def test_truncated_over_udp_whole_over_tcp() -> None:
    assert ask(Dns(answer="truncated")).flags & dns.flags.TC
    assert addresses(ask(Dns(answer="truncated"), over_tcp=True)) == ["127.0.0.1"]


def test_garbage_keeps_the_id_and_cannot_be_read() -> None:
    query = dns.message.make_query(NAME, "A").to_wire()
    answer = respond(query, {NAME: Dns(answer="garbage")})
    assert answer is not None
    assert answer[:2] == query[:2]
    with pytest.raises(dns.exception.DNSException):
        dns.message.from_wire(answer)


def test_silence_and_nonsense_get_nothing() -> None:
    assert respond(dns.message.make_query(NAME, "A").to_wire(), {NAME: Dns(answer="silence")}) is None
    assert respond(b"nonsense", {}) is None


def test_unknown_names_do_not_exist() -> None:
    assert ask(Dns(), name="other.lab.test").rcode() == dns.rcode.NXDOMAIN


def test_the_server_answers_on_both_transports(scenario, lab_of) -> None:  # type: ignore[no-untyped-def]
    one = lab_of(scenario("dns = { }\nupstream = [[{ close = true }]]"))
    host, port = one.lab.layout.dns
    for ask_by in (dns.query.udp, dns.query.tcp):
        message = ask_by(dns.message.make_query(NAME, "A"), host, port=port, timeout=5)
        assert addresses(message) == ["127.0.0.1"]
