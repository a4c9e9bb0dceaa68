"""By which names the server may be addressed: Host on every face, Origin on /mcp."""

import socket
from typing import Any

import anyio
import httpx2
import pytest
from worlds import world

from mmflow_mcp.app import App
from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.settings import Settings, from_environment
from mmflow_mcp.surfaces.hosts import Names, name_of, own_names
from mmflow_mcp.surfaces.http import build_app

pytestmark = pytest.mark.anyio

EVERY = "0.0.0.0"  # noqa: S104 - not bound
FACES = ("/api/v1/openapi", "/healthz", "/readyz", "/mcp")


def client_at(app: App, host: str) -> httpx2.AsyncClient:
    """A client of a server that listens on `host`."""
    # Where nothing has started the lifespan, /mcp is a 500: served, and that is all that is asked.
    asgi = build_app(app, host, anyio.Event())
    transport = httpx2.ASGITransport(app=asgi, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1")


async def statuses(client: httpx2.AsyncClient, host: str) -> set[int]:
    """How the faces answer to a Host: refused, or served."""
    answers = [await client.get(path, headers={"host": host}) for path in FACES]
    return {421 if answer.status_code == 421 else 200 for answer in answers}


async def test_bound_to_every_address_addresses_and_own_names_are_served() -> None:
    """On all faces alike: by any address and the machine's name; another name is told the knob."""
    own = socket.gethostname()
    async with world() as app, client_at(app, EVERY) as client:
        for host in ("192.168.1.7:8787", "[2001:db8::7]:8787", "localhost:1", own, own.upper()):
            assert {200} == await statuses(client, host), host
        for host in ("evil.example", "192.168.1.7.evil.example", "127.1", "0x7f.0.0.1", "[evil]"):
            assert {421} == await statuses(client, host), host
        answer = await client.get("/healthz", headers={"host": "evil.example"})
    assert "MMFLOW_HOSTS" in answer.json()["error"]


async def test_the_settings_add_names() -> None:
    """On loopback and on every address; no other name comes with them, no address on loopback."""
    for bound, address in (("127.0.0.1", 421), (EVERY, 200)):
        given: dict[str, Any] = {"hosts": "data.example.org, 192.0.2.7"}
        async with world(**given) as app, client_at(app, bound) as client:
            for host in ("data.example.org", "DATA.example.org:443", "192.0.2.7:80", "127.0.0.1"):
                assert {200} == await statuses(client, host), host
            assert {421} == await statuses(client, "www.data.example.org")
            assert {address} == await statuses(client, "198.51.100.4")


async def test_origins_of_mcp() -> None:
    """A page of ours, by a name of ours or by the very Host that is asked; none at an address."""
    async with world(hosts="data.example.org") as app, client_at(app, EVERY) as client:
        for host, origin, expected in (
            ("192.168.1.7:8787", "http://192.168.1.7:8787", True),
            ("192.168.1.7:8787", "https://data.example.org", True),
            ("192.168.1.7:8787", "http://localhost:6274", True),
            ("192.168.1.7:8787", "http://203.0.113.9", False),
            ("192.168.1.7:8787", "http://192.168.1.7:9999", False),
            ("data.example.org", "https://evil.example", False),
            ("data.example.org", "null", False),
            ("data.example.org", "file://data.example.org", False),
            ("data.example.org", "https://data.example.org.evil.example", False),
        ):
            headers = {"host": host, "origin": origin}
            answer = await client.get("/mcp", headers=headers)
            assert expected == (answer.status_code != 403), (host, origin)
            # REST is open to pages of any origin.
            assert 200 == (await client.get("/api/v1/openapi", headers=headers)).status_code


async def test_two_hosts_or_none_and_sockets() -> None:
    """Nobody can tell which was meant: refused; a WebSocket is held to the same names."""
    reached: list[str] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["type"])

    async with world() as app:
        layered = own_names("127.0.0.1", "", app.clock)(inner)
        for kind, hosts, expected in (
            ("http", [b"127.0.0.1"], None),
            ("http", [], 421),
            ("http", [b"127.0.0.1", b"127.0.0.1"], 421),
            ("websocket", [b"127.0.0.1"], None),
            ("websocket", [b"evil.example"], 1008),
        ):
            said: list[Any] = []

            async def send(message: Any, said: list[Any] = said) -> None:
                said.append(message.get("status") or message.get("code"))

            scope: dict[str, Any] = {"type": kind, "path": "/healthz", "method": "GET"}
            scope["headers"] = [(b"host", host) for host in hosts]
            await layered(scope, None, send)  # type: ignore[arg-type]
            assert expected == (said[0] if said else None)
    assert ["http", "websocket"] == reached


@pytest.mark.parametrize(
    "header,expected",
    [
        (b"Example.ORG", "example.org"),
        (b"example.org:80", "example.org"),
        (b"[::1]", "::1"),
        (b"[::1]:80", "::1"),
        (b"example.org:", None),
        (b"example.org:8x", None),
        (b"example.org:\xb2", None),
        (b"[::1]80", None),
        (b"[::1", None),
        (b"[name]:80", None),
        (b"a:1:2", None),
        (b":80", None),
        (b"", None),
    ],
)
def test_a_host_header_is_read(header: bytes, expected: str | None) -> None:
    """The name without its port, small; None for what is no Host."""
    assert expected == name_of(header)


def test_what_callers_send_is_not_kept_without_bound() -> None:
    """The memory of judged Hosts is bounded."""
    names = Names("127.0.0.1")
    for i in range(2000):
        assert not names.has_host(b"%d.evil.example" % i)
    assert 512 == names.has_host.cache_info().currsize


def test_names_are_judged_when_they_are_set() -> None:
    """With scheme, port or blank they would never match: the mistake is told."""
    assert "a.example,[::1]" == from_environment({"MMFLOW_HOSTS": "a.example,[::1]"}).hosts
    for text in ("http://a.example", "a.example:80", "a b", "*", "*.example.org", "-a"):
        with pytest.raises(BadQuestion, match="MMFLOW_HOSTS"):
            Settings(hosts=text)
