"""`/`: what this is, in the words of the README, and how each client is connected."""

from mmflow_mcp.endpoints.declare import endpoints
from mmflow_mcp.surfaces import clients
from mmflow_mcp.surfaces.openapi import PREFIX
from mmflow_mcp.surfaces.pages.element import Html, tag
from mmflow_mcp.surfaces.pages.page import Site, copied, page
from mmflow_mcp.surfaces.pages.words import family_name

# A test holds these to the README.
CLAIM = "Ask a language model about crypto markets and get true, current, cross-venue answers."
SCOPE = (
    "Funding and open interest of perpetual futures, positioning and liquidations, option chains,"
    " dealer gamma and volatility, spot, candles and the spread between venues, flow signals and"
    " the Korean premium, ETF flows, treasuries and on-chain valuation, prediction markets, and"
    " the history of it, from the venues' and sources' own public APIs."
)
POINTS = {
    "One question, every venue.": (
        '"What is BTC funding across venues?" asks all of them at once and is as slow as the'
        " slowest. A venue that is down is named in the answer, never guessed."
    ),
    "Units you can add.": (
        "One-sided open interest in USD and coins, funding with the symbol's own period and a"
        " comparable yearly rate, kPEPE and 1000PEPE both PEPE, stocks never posing as coins."
    ),
    "Small answers.": ("Tables with columns named once, a row budget that says what it left out."),
}


def home(site: Site, origin: str) -> Html:
    """The page, for a visitor who came by this address."""
    main = [
        tag("h1", CLAIM),
        tag("p", SCOPE, class_="lead"),
        tag("ul", [tag("li", tag("strong", head), " ", said) for head, said in POINTS.items()]),
        _connect(site, origin),
        _asked(),
    ]
    return page(site, path="/", title="Connect", about=CLAIM, main=main)


def _connect(site: Site, origin: str) -> Html:
    address = f"{origin}/mcp"
    key = site.key
    return tag(
        "section",
        tag("h2", "Connect a client", id="connect"),
        tag("p", "This server speaks MCP (streamable HTTP, both protocol eras) at this address:"),
        copied(address, "address of this server", origin=origin),
        _about_keys(site),
        tag(
            "div",
            _client(
                "Claude Code",
                "In a terminal:",
                clients.claude_code(address, key=key),
                clients.claude_code(),
                origin,
            ),
            _client(
                "Any HTTP client",
                ["REST, without MCP; every path is in the ", tag("a", "docs", href="/docs"), ":"],
                clients.curl(f"{origin}{PREFIX}/perps/funding?coins=BTC,ETH&venues=all", key=key),
                None,
                origin,
            ),
            _client(
                "VS Code",
                [tag("code", ".vscode/mcp.json"), ":"],
                clients.vscode(address, key=key),
                clients.vscode(),
                origin,
            ),
            _client(
                "Cursor",
                [tag("code", "~/.cursor/mcp.json"), ":"],
                clients.cursor(address, key=key),
                clients.cursor(),
                origin,
            ),
            _client(
                "Claude Desktop",
                "Its file takes commands, not addresses: it starts a server of its own."
                " Settings > Developer > Edit Config:",
                clients.claude_desktop(),
                None,
                origin,
            ),
            _client(
                "Python",
                ["With the ", tag("code", "mcp"), " package:"],
                clients.python(address, key=key),
                None,
                origin,
            ),
            class_="clients",
        ),
        aria_labelledby="connect",
    )


def _about_keys(site: Site) -> Html:
    header = tag("code", "Authorization: Bearer KEY")
    if site.key:
        said = ["This server answers only who shows a key. Put yours where KEY stands: ", header]
    else:
        said = ["No key is needed. One allows more questions a minute: ", header]
    return tag("p", said, ".")


def _client(name: str, where: object, text: str, stdio: str | None, origin: str) -> Html:
    """One client; `stdio` is how it starts a server of its own."""
    own = stdio and tag(
        "details",
        tag("summary", "Or let it start its own server"),
        copied(stdio, f"{name}, with a server of its own"),
    )
    parts = [where] if isinstance(where, str) else where
    block = copied(text, name, origin=origin)
    return tag("section", tag("h3", name), tag("p", parts), block, own)  # type: ignore[arg-type]


def _asked() -> Html:
    families: dict[str, int] = {}
    for e in endpoints().values():
        families[e.family] = families.get(e.family, 0) + 1
    rows = [
        tag("li", tag("a", family_name(one), href=f"/docs#family-{one}"), f" ({count})")
        for one, count in families.items()
    ]
    return tag(
        "section",
        tag("h2", "What it answers", id="asked"),
        tag("p", "Every question has a page with its parameters, an example and a form that asks."),
        tag("ul", rows, class_="families"),
        tag(
            "p",
            "How each venue is doing stands on the ",
            tag("a", "status page", href="/status"),
            "; ",
            tag("a", "OpenAPI 3.1", href=f"{PREFIX}/openapi"),
            " generates clients.",
        ),
        aria_labelledby="asked",
    )
