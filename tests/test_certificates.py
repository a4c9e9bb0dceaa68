"""Corporate networks: certificates of one's own, and proxies, for requests and sockets alike."""

import base64
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
import trustme
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from anyio.streams.tls import TLSListener

from mmflow_mcp.clock import SystemClock
from mmflow_mcp.errors import BadQuestion, VenueRefused
from mmflow_mcp.surfaces import cli
from mmflow_mcp.upstream.client import Upstream
from mmflow_mcp.upstream.network import NetworkTransport, check_bundle
from mmflow_mcp.upstream.wire import Call

pytestmark = pytest.mark.anyio
WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Authority:
    """Makes certificates that no system trusts; `bundle` is its own, as a PEM file."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.bundle = folder / "office ca.pem"
        authority.cert_pem.write_to_path(self.bundle)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(self.context)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One for all tests."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No certificates but the system's."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


async def venue(stream: ByteStream) -> None:
    """A venue: `[]` to a request; to a socket the word `hi`."""
    async with stream:
        try:
            asked = await stream.receive()
            lines = asked.split(b"\r\n")
            keys = [line for line in lines if line.lower().startswith(b"sec-websocket-key:")]
            if not keys:
                await stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]")
                return
            digest = hashlib.sha1(keys[0].split(b":", 1)[1].strip() + WEBSOCKET).digest()  # noqa: S324 - RFC 6455
            await stream.send(
                b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
                b"sec-websocket-accept: " + base64.b64encode(digest) + b"\r\n\r\n\x81\x02hi"
            )
            await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError, ssl.SSLError):
            return


class Proxy:
    """Passes CONNECT on and remembers what was asked."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    async def serve(self, near: SocketStream) -> None:
        """One connection."""
        async with near:
            line = (await near.receive()).split(b"\r\n")[0]
            self.heard.append(line)
            host, _, port = line.split()[1].decode().rpartition(":")
            async with await anyio.connect_tcp(host, int(port)) as far:
                await near.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._copy, far, near, tasks.cancel_scope)
                    tasks.start_soon(self._copy, near, far, tasks.cancel_scope)

    async def _copy(
        self, source: SocketStream, target: SocketStream, scope: anyio.CancelScope
    ) -> None:
        try:
            async for part in source:
                await target.send(part)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        scope.cancel()


@asynccontextmanager
async def venue_of(
    authority: Authority, *, bundle: str = "", proxy: Proxy | None = None
) -> AsyncIterator[tuple[Upstream, str]]:
    """A client, and the address of a venue under the authority's certificate."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    secure = TLSListener(listener, authority.context, standard_compatible=False)
    between = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, between, anyio.create_task_group() as tasks:
        tasks.start_soon(secure.serve, venue)
        if proxy is not None:
            tasks.start_soon(between.serve, proxy.serve)
        port, proxy_port = (
            one.extra(SocketAttribute.local_port)  # noqa: S610 - no query
            for one in (listener, between)
        )
        base = NetworkTransport(
            user_agent="mmflow-mcp/test",
            proxy=f"http://127.0.0.1:{proxy_port}" if proxy else None,
            ca_bundle=bundle,
        )
        upstream = Upstream(base, kind="live", clock=SystemClock(), tasks=tasks)
        try:
            yield upstream, f"127.0.0.1:{port}"
        finally:
            await upstream.aclose()
            tasks.cancel_scope.cancel()


async def asked(upstream: Upstream, address: str) -> object:
    """The document of one request."""
    until = upstream.clock.monotonic() + 20
    wire, _ = await upstream.fetch(Call(f"https://{address}/v1", fresh=-1), until)
    return wire.doc


async def heard(upstream: Upstream, address: str) -> str:
    """The first word of a socket."""
    with anyio.fail_after(20):
        async with upstream.stream(f"wss://{address}/ws") as stream:
            return str(await stream.receive())


async def test_a_certificate_of_nobody_known_is_told_as_such(authority: Authority) -> None:
    """Not as a connection that failed: the setting that helps is named."""
    async with venue_of(authority) as (upstream, address):
        with pytest.raises(VenueRefused) as failure:
            await asked(upstream, address)
        assert "certificate is not trusted (MMFLOW_CA_BUNDLE" in failure.value.reason


async def test_a_bundle_is_trusted_by_requests_and_sockets(authority: Authority) -> None:
    """One context serves both."""
    async with venue_of(authority, bundle=str(authority.bundle)) as (upstream, address):
        assert ([], "hi") == (await asked(upstream, address), await heard(upstream, address))


async def test_a_proxy_and_a_bundle_go_together(authority: Authority) -> None:
    """Requests and sockets ask the proxy to CONNECT and speak TLS through it."""
    proxy = Proxy()
    async with venue_of(authority, bundle=str(authority.bundle), proxy=proxy) as (
        upstream,
        address,
    ):
        assert ([], "hi") == (await asked(upstream, address), await heard(upstream, address))
    assert [f"CONNECT {address} HTTP/1.1".encode()] * 2 == proxy.heard


async def test_the_systems_variable_is_honoured(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE, as OpenSSL has it; where it names nothing, that is said."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    async with venue_of(authority) as (upstream, address):
        assert [] == await asked(upstream, address)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle) + ".gone")
    async with venue_of(authority) as (upstream, address):
        with pytest.raises(VenueRefused, match="SSL_CERT_FILE names are unreadable"):
            await asked(upstream, address)


@pytest.mark.parametrize(
    "content,why", [(None, "cannot be read"), ("", "no certificate"), ("-----", "no certificate")]
)
async def test_a_bundle_that_is_none_is_refused_at_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: str | None,
    why: str,
) -> None:
    """A file that is missing, empty or something else: one sentence before any question."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content, "utf-8")
    with pytest.raises(BadQuestion, match=why) as failure:
        check_bundle(str(file))
    assert "MMFLOW_CA_BUNDLE" == failure.value.argument
    monkeypatch.setenv("MMFLOW_CA_BUNDLE", str(file))
    words = ["call", "get_funding", "coins=BTC", "--source", "live"]
    status = await anyio.to_thread.run_sync(cli.main, words)
    assert (2, 1) == (status, len(capsys.readouterr().err.splitlines()))


async def test_the_home_may_be_written_short(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A desktop client's settings have no shell to make a path of `~`."""
    monkeypatch.setenv("HOME", str(authority.bundle.parent))
    assert str(authority.bundle) == check_bundle(f"~/{authority.bundle.name}")
    assert "" == check_bundle("")
