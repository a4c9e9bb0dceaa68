"""Whose question it is: the address of the client, through proxies that are trusted.

A header can be written by anyone, so it counts only when the peer is a trusted proxy, and in it
only what trusted proxies wrote: hops are read from the right, and the first that is not trusted is
the client. Of IPv6 a client has a /64, so that is what is counted.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Headers = Iterable[tuple[bytes, bytes]]

HOPS = 32
# A peer without an address: a socket in the file system.
LOCAL = "local"


def networks_of(text: str) -> tuple[Network, ...]:
    """Networks from their list, comma-separated. Raises `ValueError` for what is none."""
    return tuple(ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())


def client_of(peer: str | None, headers: Headers, trusted: Sequence[Network]) -> str:
    """The client, as the name of a caller: an IPv4 address, or the /64 of an IPv6 one."""
    if not trusted or not peer:
        return _named(peer or "")
    return _through(peer, headers, trusted)


def _through(peer: str, headers: Headers, trusted: Sequence[Network]) -> str:
    if not _is_trusted(peer, trusted):
        return _named(peer)
    forwarded: list[str] = []
    x_forwarded: list[str] = []
    for name, value in headers:
        if name == b"x-forwarded-for":
            x_forwarded.append(value.decode("latin-1"))
        elif name == b"forwarded":
            forwarded.append(value.decode("latin-1"))
    found = {
        _first_stranger(peer, hops, trusted)
        for hops in (_hops(x_forwarded), _for_hops(forwarded))
        if hops
    }
    # A proxy writes one of the two and may pass on the other as the client sent it. When they
    # differ, one is a forgery: then all who forge share the allowance of the proxy.
    return found.pop() if len(found) == 1 else _named(peer)


def _first_stranger(peer: str, hops: Sequence[str], trusted: Sequence[Network]) -> str:
    """The rightmost hop that is not trusted; of a chain that is trusted throughout the first."""
    last = peer
    for hop in reversed(hops):
        address = _address(hop)
        if address is None:
            # What cannot be read was handed on by the last one that can.
            break
        last = str(address)
        if not _is_trusted(last, trusted):
            break
    return _named(last)


def _hops(values: Sequence[str]) -> list[str]:
    """The hops of X-Forwarded-For, its last ones."""
    return [hop.strip() for hop in ",".join(values).rsplit(",", HOPS)[-HOPS:]] if values else []


def _for_hops(values: Sequence[str]) -> list[str]:
    """The hops of Forwarded (RFC 7239): the `for` of each element, empty where it has none."""
    hops = []
    for element in _hops(values):
        pairs = (pair.strip().partition("=") for pair in element.split(";"))
        found = [value.strip(' "') for name, _, value in pairs if name.lower() == "for"]
        hops.append(found[-1] if found else "")
    return hops


def _address(hop: str) -> Address | None:
    """The address of a hop, which may have a port: `1.2.3.4:80`, `[2001:db8::1]:80`."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    return _parsed(hop)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(maxsize=4096)
def _named(text: str) -> str:
    address = _parsed(text)
    if address is None:
        return LOCAL
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address) >> 64 << 64, 64)))
    return str(address)


def _is_trusted(text: str, trusted: Sequence[Network]) -> bool:
    address = _parsed(text)
    return address is not None and any(address in network for network in trusted)
