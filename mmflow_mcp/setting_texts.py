"""What single settings may say, and what is told where they mean nothing. Pure."""

import re
from importlib.util import find_spec
from urllib.parse import urlsplit

from mmflow_mcp.errors import BadQuestion

# No venue has data from before 1990, and what lies after 2200 is seconds or microseconds misread.
FIRST_MOMENT = 631_152_000_000
LAST_MOMENT = 7_258_118_400_000
# A label of a host name, or an address, IPv6 without its brackets.
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|[0-9a-f:.]*:[0-9a-f:.]*")


def check_networks(text: str) -> None:
    """Raise `BadQuestion` unless it is a list of addresses or networks, or empty."""
    if not text:
        return
    from ipaddress import ip_network  # noqa: PLC0415 - only when proxies are trusted

    for part in text.split(","):
        try:
            ip_network(part.strip(), strict=False)
        except ValueError:
            raise BadQuestion(
                "MMFLOW_TRUSTED_PROXIES",
                f"{part.strip()[:60]!r} is no address or network.",
                fits="10.0.0.0/8,192.0.2.7,fd00::/8",
            ) from None


def host_names(text: str) -> frozenset[str]:
    """The names in a list of hosts, small, without ports. Raises `BadQuestion` for what is none."""
    names = {part.strip().lower().strip("[]") for part in text.split(",") if part.strip()}
    for name in sorted(names):
        if not _HOST.fullmatch(name):
            raise BadQuestion(
                "MMFLOW_HOSTS",
                f"{name[:60]!r} is no host name.",
                fits="names without scheme and port: data.example.org,192.0.2.7",
            )
    return frozenset(names)


def check_contact(text: str) -> None:
    """Raise `BadQuestion` unless it can be a part of a header, the User-Agent."""
    if not text.isprintable():
        raise BadQuestion(
            "MMFLOW_CONTACT", "hidden characters are in it.", fits="a mail address or a page"
        )


def check_traces(text: str) -> None:
    """Raise `BadQuestion` unless it is the URL of a collector, or empty."""
    if text and not is_address(text):
        # It is not repeated: it may hold a password.
        raise BadQuestion(
            "MMFLOW_TRACES",
            "the address of the collector (or OTEL_EXPORTER_OTLP_...) is none.",
            fits="http://HOST:4318/v1/traces",
        )


def is_source(text: str) -> bool:
    """Whether it says where answers come from: live, sim, sim:URL or replay:PATH[,PATH...]."""
    kind, colon, where = text.partition(":")
    if kind == "replay":
        return all(part.strip() for part in where.split(","))
    if not colon:
        return kind in ("live", "sim")
    return kind == "sim" and is_address(where)


def is_address(text: str) -> bool:
    """Whether it is http(s)://HOST[:PORT][/PATH]."""
    parts = urlsplit(text)
    try:
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def proxy_url(text: str) -> str:
    """A proxy as a URL; HOST:PORT is http. It is never repeated: it may hold a password."""
    url = text if "://" in text else f"http://{text}"
    kinds = ["http", "https"]
    if find_spec("socksio") is not None:
        kinds += ["socks5", "socks5h"]
    scheme, _, rest = url.partition("://")
    if scheme not in kinds or not is_address(f"http://{rest}"):
        raise BadQuestion(
            "MMFLOW_PROXY",
            "the proxy (or HTTPS_PROXY) is no address that can be used.",
            fits=" or ".join(f"{kind}://HOST:PORT" for kind in kinds),
        )
    return url


def yes_or_no(variable: str, text: str) -> bool:
    """A switch. What is neither is refused: a guard must not be off because of a typo."""
    word = text.lower()
    if word not in _SWITCH:
        raise BadQuestion(variable, f"{text[:20]!r} is neither.", fits="true or false")
    return _SWITCH[word]


_SWITCH = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}


def moment_of(text: str) -> int:
    """Epoch milliseconds or an ISO time (UTC unless it says otherwise), as epoch milliseconds.

    Raises `BadQuestion` for anything else, epoch seconds included: as milliseconds they would be
    a moment of January 1970.
    """
    from datetime import UTC, datetime  # noqa: PLC0415 - only when a moment is given

    try:
        ms = int(text)
    except ValueError:
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            ms = 0
        else:
            ms = round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    if not FIRST_MOMENT <= ms < LAST_MOMENT:
        raise BadQuestion(
            "now", f"{text!r} is no time.", fits="epoch milliseconds or 2026-08-22T15:33:00Z"
        )
    return ms
