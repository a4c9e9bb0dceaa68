"""The address of a client: what headers say counts only when a trusted proxy wrote it."""

import pytest

from mmflow_mcp.access.addresses import client_of, networks_of

PROXIES = networks_of("10.0.0.0/8, 192.0.2.7, fd00::/8")
XFF = b"x-forwarded-for"
FORWARDED = b"forwarded"


@pytest.mark.parametrize(
    "peer,headers,expected",
    [
        # Nobody is believed but proxies.
        ("203.0.113.9", [(XFF, b"198.51.100.1")], "203.0.113.9"),
        ("203.0.113.9", [(FORWARDED, b"for=198.51.100.1")], "203.0.113.9"),
        ("192.0.2.8", [(XFF, b"198.51.100.1")], "192.0.2.8"),
        # A proxy's word.
        ("10.1.2.3", [(XFF, b"198.51.100.1")], "198.51.100.1"),
        ("192.0.2.7", [(XFF, b"198.51.100.1")], "198.51.100.1"),
        ("::ffff:10.1.2.3", [(XFF, b"198.51.100.1")], "198.51.100.1"),
        ("10.1.2.3", [], "10.1.2.3"),
        # What the client wrote itself stands to the left of it.
        ("10.1.2.3", [(XFF, b"1.1.1.1, 198.51.100.1")], "198.51.100.1"),
        ("10.1.2.3", [(XFF, b"1.1.1.1"), (XFF, b"198.51.100.1")], "198.51.100.1"),
        # A chain of proxies.
        ("10.1.2.3", [(XFF, b"1.1.1.1, 198.51.100.1, 10.9.9.9")], "198.51.100.1"),
        ("10.1.2.3", [(XFF, b"10.0.0.5, 10.9.9.9")], "10.0.0.5"),
        # What cannot be read ends the chain: the last that can.
        ("10.1.2.3", [(XFF, b"198.51.100.1, unknown")], "10.1.2.3"),
        ("10.1.2.3", [(XFF, b"1.1.1.1, <script>, 10.9.9.9")], "10.9.9.9"),
        ("10.1.2.3", [(XFF, b"")], "10.1.2.3"),
        ("10.1.2.3", [(XFF, b"\xff\x00,,")], "10.1.2.3"),
        # Ports and brackets.
        ("10.1.2.3", [(XFF, b"198.51.100.1:4711")], "198.51.100.1"),
        ("10.1.2.3", [(XFF, b"[2001:db8:1:2:3::4]:4711")], "2001:db8:1:2::/64"),
        ("10.1.2.3", [(XFF, b"2001:db8:1:2:3::4")], "2001:db8:1:2::/64"),
        # RFC 7239.
        ("10.1.2.3", [(FORWARDED, b"for=198.51.100.1")], "198.51.100.1"),
        ("10.1.2.3", [(FORWARDED, b"for=1.1.1.1, For=198.51.100.1;proto=https")], "198.51.100.1"),
        ("fd00::1", [(FORWARDED, b'proto=http; for="[2001:db8::17]:4711"')], "2001:db8::/64"),
        ("10.1.2.3", [(FORWARDED, b"for=198.51.100.1, for=_hidden")], "10.1.2.3"),
        ("10.1.2.3", [(FORWARDED, b"for=198.51.100.1, proto=https")], "10.1.2.3"),
        # Both: they agree, or one is a forgery and the proxy's own allowance is used.
        ("10.1.2.3", [(XFF, b"198.51.100.1"), (FORWARDED, b"for=198.51.100.1")], "198.51.100.1"),
        ("10.1.2.3", [(XFF, b"198.51.100.1"), (FORWARDED, b"for=1.1.1.1")], "10.1.2.3"),
        # IPv6 by its /64, with a zone or without; IPv4 in IPv6 is IPv4.
        ("2001:db8:1:2:aaaa::1", [], "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::2", [], "2001:db8:1:2::/64"),
        ("fe80::1%eth0", [], "fe80::/64"),
        ("::1", [], "::/64"),
        ("::ffff:203.0.113.9", [], "203.0.113.9"),
        # No address at all.
        (None, [], "local"),
        ("testclient", [(XFF, b"198.51.100.1")], "local"),
    ],
)
def test_the_client_is_the_first_that_is_not_trusted(
    peer: str | None, headers: list[tuple[bytes, bytes]], expected: str
) -> None:
    """Read from the right."""
    assert expected == client_of(peer, headers, PROXIES)


def test_without_trusted_proxies_headers_mean_nothing() -> None:
    """Loopback is not trusted by itself."""
    assert "127.0.0.1" == client_of("127.0.0.1", [(XFF, b"198.51.100.1")], ())


def test_a_long_chain_costs_little() -> None:
    """Only the last hops are read, whatever the length of the header."""
    header = b"1.1.1.1," * 8000 + b"198.51.100.1"
    assert "198.51.100.1" == client_of("10.1.2.3", [(XFF, header)], PROXIES)
    trusted = b"198.51.100.1," + b"10.0.0.1," * 8000 + b"10.0.0.2"
    assert "10.0.0.1" == client_of("10.1.2.3", [(XFF, trusted)], PROXIES)


@pytest.mark.parametrize("text", ["10.0.0.0/33", "proxy.example", "10.0.0.0/8;fd00::/8"])
def test_a_network_that_is_none_is_an_error(text: str) -> None:
    """A name is not resolved."""
    with pytest.raises(ValueError, match="does not appear"):
        networks_of(text)
