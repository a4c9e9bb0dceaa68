"""`/docs`: every endpoint with its parameters, an example, and a form that asks this server."""

from mmflow_mcp.surfaces.openapi import DOCUMENT
from mmflow_mcp.surfaces.pages.catalogue import KINDS, Parameter, Shown, asked, lines_of
from mmflow_mcp.surfaces.pages.element import Html, tag
from mmflow_mcp.surfaces.pages.page import Site, copied, page
from mmflow_mcp.surfaces.pages.words import family_name

EXAMPLES = "/docs/examples/"
ABOUT = "Every endpoint with its parameters, an example and a form that asks this server."
LINES = {"curl": "curl", "tool": "MCP tools/call", "command": "Command line"}


def docs(site: Site, origin: str) -> Html:
    """The page, for a visitor who came by this address."""
    families: dict[str, list[Shown]] = {}
    for one, _ in asked().values():
        families.setdefault(one.family, []).append(one)
    main = tag(
        "div",
        _contents(families),
        tag(
            "div",
            tag("h1", "Docs"),
            _lead(),
            _tools(site),
            [family(name, members, origin) for name, members in families.items()],
            tag("p", "Nothing here fits the filter.", id="nothing", hidden=True),
            class_="endpoints",
        ),
        class_="docs",
    )
    return page(site, path="/docs", title="Docs", about=ABOUT, main=main, scripts=("docs.js",))


def _lead() -> Html:
    return tag(
        "p",
        "Answers are ",
        tag("code", '{"data", "meta"}'),
        "; ",
        tag("code", "meta.partial"),
        " is true when something that was asked is missing, and ",
        tag("code", "meta.sources"),
        " says what. Lists are comma-separated or repeated; an unknown parameter is an error that"
        " names the nearest. Times are epoch milliseconds UTC. All of it as ",
        tag("a", "OpenAPI 3.1", href=DOCUMENT),
        ".",
    )


def _tools(site: Site) -> Html:
    """The filter and the key: above all forms, inside none."""
    said = "API key (this server wants one)" if site.key else "API key (optional)"
    return tag(
        "div",
        tag(
            "p",
            tag("label", "Filter endpoints", for_="filter"),
            tag("input", id="filter", type="search", autocomplete="off", aria_describedby="fits"),
            tag("span", id="fits", class_="said", role="status"),
        ),
        tag(
            "p",
            tag("label", said, for_="key"),
            tag(
                "input",
                id="key",
                type="password",
                autocomplete="off",
                spellcheck="false",
                aria_describedby="key-kept",
            ),
            tag("span", "Kept in this page's memory only.", id="key-kept", class_="said"),
        ),
        class_="tools",
        hidden=True,
        id="tools",
    )


def _contents(families: dict[str, list[Shown]]) -> Html:
    groups = [
        tag(
            "li",
            tag("a", family_name(name), href=f"#family-{name}"),
            tag("ul", [tag("li", tag("a", one.title, href=f"#{one.id}")) for one in members]),
            data_family=name,
        )
        for name, members in families.items()
    ]
    return tag(
        "nav",
        tag("details", tag("summary", "All endpoints"), tag("ul", groups), open=True),
        aria_label="Endpoints",
        class_="contents",
    )


def family(name: str, members: list[Shown], origin: str) -> Html:
    """The endpoints of a family."""
    head = tag("h2", family_name(name), id=f"family-{name}")
    return tag(
        "section",
        head,
        [_endpoint(one, origin) for one in members],
        class_="family",
        aria_labelledby=f"family-{name}",
    )


def _endpoint(one: Shown, origin: str) -> Html:
    return tag(
        "article",
        tag("h3", tag("a", one.title, href=f"#{one.id}"), id=f"{one.id}-name"),
        _where(one),
        [tag("p", text) for text in one.paragraphs],
        tag("p", one.extras, class_="said") if one.extras else None,
        _form(one),
        _answer(one),
        _elsewhere(one, origin),
        _example(one),
        id=one.id,
        class_="endpoint",
        aria_labelledby=f"{one.id}-name",
        data_path=one.path,
        data_tool=one.tool or None,
        data_event=one.event or None,
    )


def _where(one: Shown) -> Html:
    kept = f"An answer may be kept for {one.ttl} s." if one.ttl and not one.event else None
    tool = [" Tool ", tag("code", one.tool), ". "] if one.tool else " "
    stream = [" Events ", tag("code", one.event), ". "] if one.event else None
    return tag("p", tag("code", "GET ", one.path), stream, tool, kept, class_="where")


def _form(one: Shown) -> Html:
    """Asks without a script, too: the browser then shows the answer as it is."""
    rows = [_row(one.id, p) for p in one.parameters]
    none = None if rows else tag("p", "It takes no parameters.", class_="said")
    buttons = tag(
        "p",
        tag("button", "Listen" if one.event else "Ask this server", type="submit", class_="go"),
        tag("button", "Stop", type="button", class_="stop", hidden=True),
        class_="buttons",
    )
    return tag(
        "form", none, rows, buttons, action=one.path, method="get", aria_label=f"Ask: {one.title}"
    )


def _row(owner: str, p: Parameter) -> Html:
    name, said = f"{owner}-{p.name}", f"{owner}-{p.name}-said"
    facts = [KINDS.get(p.kind, "moment")]
    facts += [p.bounds] if p.bounds else []
    facts += ["required"] if p.required else []
    facts += [f"default {p.default}"] if p.default not in (None, "") else []
    untold = [value for value in p.values if value not in p.said]
    fits = [" One of ", ", ".join(p.values), "."] if untold else None
    return tag(
        "div",
        tag("label", tag("code", p.name), for_=name),
        tag("span", ", ".join(facts), class_="facts"),
        _field(name, said, p),
        tag("p", p.said.rstrip(".") + ".", fits, id=said, class_="said"),
        class_="parameter",
        data_kind=p.kind,
    )


def _field(name: str, said: str, p: Parameter) -> Html:
    common = {"id": name, "name": p.name, "aria_describedby": said, "required": p.required}
    values = p.values or (("true", "false") if p.kind == "boolean" else ())
    if not values:
        return tag(
            "input",
            type="text",
            value=p.example or None,
            placeholder=p.default,
            autocomplete="off",
            spellcheck="false",
            inputmode="decimal" if p.kind in ("integer", "number") else None,
            **common,
        )
    first = [] if p.required and p.example else [tag("option", "not given", value="")]
    options = [tag("option", v, value=v, selected=v == p.example) for v in values]
    return tag("select", first, options, **common)


def _answer(one: Shown) -> Html:
    """Where a script puts what was answered."""
    what = "Events" if one.event else "Answer"
    return tag(
        "div",
        tag("p", class_="state", role="status"),
        tag("ul", class_="problems", hidden=True),
        tag("p", class_="headers said"),
        tag("pre", tabindex="0", role="region", aria_label=f"{what}: {one.title}", class_="body"),
        class_="answer",
        hidden=True,
    )


def _elsewhere(one: Shown, origin: str) -> Html:
    blocks = [
        [
            tag("p", LINES[name], class_="said"),
            copied(text, f"{LINES[name]}: {one.title}", id_=f"{one.id}-{name}", origin=origin),
        ]
        for name, text in lines_of(one, origin).items()
    ]
    return tag(
        "details",
        tag("summary", "The same with curl, as a tool call, on the command line"),
        blocks,
        class_="elsewhere",
    )


def _example(one: Shown) -> Html:
    to = EXAMPLES + one.id
    return tag(
        "details",
        tag("summary", "Example answer, from a simulated market"),
        tag("p", tag("a", "Read the example", href=to)),
        class_="example",
        data_from=to,
    )
